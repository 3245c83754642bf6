"""Windows of maintenance: called for at once, ended early, and made into times ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from core import audit
from core.db.locking import lock_row
from core.exceptions import Conflict, ValidationFailed
from core.mediator import mediator
from core.models import AuditVerb
from core.models.audit import MAX_ACTOR
from core.timetables import read_timetable
from monitoring.models import (
    MaintenanceOccurrence,
    MaintenanceWindow,
    OccurrenceState,
    WindowStatus,
)
from registry.models import Service

logger = structlog.get_logger(__name__)

MADE_AHEAD = timedelta(days=14)
MOST_MADE = 1000
LIVE = (WindowStatus.SCHEDULED, WindowStatus.IN_PROGRESS)


def get_window(reference: str) -> MaintenanceWindow:
    """Return the window of that id or name.

    Raises:
        NotFound: there is none.
    """
    return MaintenanceWindow.objects.get_named(reference)


def begin_now(fields: Mapping[str, Any], *, actor: str) -> MaintenanceWindow:
    """Put services under maintenance for some minutes: checked on, marked, and nobody is called.

    Raises:
        NotFound: there is no such service.
        ValidationFailed: no service is named.
    """
    if not fields["services"]:
        raise ValidationFailed.at("services", "Name at least one service.")
    names = [Service.objects.get_named(each).name for each in fields["services"]]
    now = timezone.now()
    ends_at = now + timedelta(minutes=fields["minutes"])
    window = MaintenanceWindow(
        services=names,
        description=fields.get("reason", ""),
        starts_at=now,
        ends_at=ends_at,
        status=WindowStatus.IN_PROGRESS,
        public=bool(fields.get("public")),
        created_by=actor[:MAX_ACTOR],
    )
    window.name = f"{names[0][:50]} {now:%Y-%m-%d %H.%M.%S} {str(window.pk)[:8]}"
    with transaction.atomic():
        window.save(force_insert=True)
        window.occurrences.create(
            starts_at=now, ends_at=ends_at, planned_at=now, state=OccurrenceState.IN_PROGRESS
        )
        audit.record(AuditVerb.MAINTENANCE_STARTED, window, reason=window.description)
    logger.info("maintenance_window_began", window=window.name, actor=actor)
    mediator.publish("maintenance_began", window_id=window.pk)
    return window


def finish_window(window: MaintenanceWindow, *, actor: str) -> MaintenanceWindow:
    """End the maintenance that is under way now; one that recurs comes again.

    Raises:
        Conflict: it is not under way.
    """
    now = timezone.now()
    with transaction.atomic():
        locked = lock_row(window)
        current = locked.occurrences.filter(starts_at__lte=now, ends_at__gt=now)
        if not current.update(ends_at=now, state=OccurrenceState.COMPLETED, updated_at=now):
            raise Conflict("It is not under way.")
        _note_status(locked, now)
        audit.record(AuditVerb.MAINTENANCE_ENDED, locked)
    logger.info("maintenance_window_ended", window=locked.name, actor=actor)
    mediator.publish("maintenance_ended", window_id=locked.pk)
    return locked


def occurrences_of(
    window: MaintenanceWindow, first: datetime, last: datetime
) -> Sequence[tuple[datetime, datetime]]:
    """Return when a window comes to be between two times, in UTC."""
    if not window.recurs:
        assert window.starts_at is not None and window.ends_at is not None
        return [(window.starts_at, window.ends_at)] if window.ends_at > first else []
    length = timedelta(minutes=window.duration_minutes or 0)
    rule = read_timetable(
        window.cron, window.timezone, starts_at=window.starts_at, ends_at=window.ends_at
    )
    ticks = rule.between(first - length, last, most=MOST_MADE)
    return [(tick, tick + length) for tick in ticks]


def plan_windows(*, now: datetime) -> None:
    """Make the times of windows that come, and say of those whose time it is that they began or
    ended. One whose rule cannot be read is set aside.
    """
    for window in MaintenanceWindow.objects.filter(status__in=LIVE):
        try:
            times = occurrences_of(window, now, now + MADE_AHEAD)
        except ValueError as error:
            logger.warning("maintenance_not_planned", window=window.name, error=str(error))
            continue
        MaintenanceOccurrence.objects.bulk_create(
            [
                MaintenanceOccurrence(window=window, starts_at=a, ends_at=b, planned_at=a)
                for a, b in times
            ],
            ignore_conflicts=True,
        )
        with transaction.atomic():
            locked = MaintenanceWindow.objects.select_for_update().filter(pk=window.pk).first()
            if locked is not None:
                _turn(locked, now)


def _turn(window: MaintenanceWindow, now: datetime) -> None:
    """Say what began and what ended: each once, by whichever sweep changes its row."""
    rows = window.occurrences
    begun = Q(state=OccurrenceState.SCHEDULED, starts_at__lte=now)
    began = rows.filter(begun, ends_at__gt=now).update(
        state=OccurrenceState.IN_PROGRESS, updated_at=now
    )
    live = (OccurrenceState.SCHEDULED, OccurrenceState.IN_PROGRESS)
    ended = rows.filter(ends_at__lte=now, state__in=live).update(
        state=OccurrenceState.COMPLETED, updated_at=now
    )
    _note_status(window, now)
    if ended:
        logger.info("maintenance_window_ended", window=window.name)
        mediator.publish("maintenance_ended", window_id=window.pk)
    if began:
        logger.info("maintenance_window_began", window=window.name)
        mediator.publish("maintenance_began", window_id=window.pk)


def _note_status(window: MaintenanceWindow, now: datetime) -> None:
    status = _status_at(window, now)
    if status != window.status:
        window.status = status
        window.save(update_fields=["status", "updated_at"])


def _status_at(window: MaintenanceWindow, now: datetime) -> WindowStatus:
    rows = window.occurrences
    if rows.filter(starts_at__lte=now, ends_at__gt=now).exists():
        return WindowStatus.IN_PROGRESS
    goes_on = window.recurs and (window.ends_at is None or window.ends_at > now)
    if goes_on or rows.filter(starts_at__gt=now).exists():
        return WindowStatus.SCHEDULED
    return WindowStatus.COMPLETED
