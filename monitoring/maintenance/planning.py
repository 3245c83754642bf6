"""The times that windows come to: made ahead, begun and ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Q

from core.mediator import mediator
from core.timetables import read_timetable
from monitoring.models import (
    MaintenanceOccurrence,
    MaintenanceWindow,
    OccurrenceState,
    WindowStatus,
)

logger = structlog.get_logger(__name__)

MADE_AHEAD = timedelta(days=14)
MOST_MADE = 1000
LIVE = (WindowStatus.SCHEDULED, WindowStatus.IN_PROGRESS)


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
    live = MaintenanceWindow.objects.filter(status__in=LIVE)
    for pk in list(live.values_list("pk", flat=True)):
        with transaction.atomic():
            # Read under the lock: times by a rule that was just changed would come back.
            locked = live.select_for_update().filter(pk=pk).first()
            if locked is not None:
                plan_window(locked, now=now)


def plan_window(window: MaintenanceWindow, *, now: datetime) -> None:
    """Do that for one window, which the caller has locked."""
    try:
        times = occurrences_of(window, now, now + MADE_AHEAD)
    except ValueError as error:
        logger.warning("maintenance_not_planned", window=window.name, error=str(error))
        return
    MaintenanceOccurrence.objects.bulk_create(
        [
            MaintenanceOccurrence(window=window, starts_at=a, ends_at=b, planned_at=a)
            for a, b in times
        ],
        ignore_conflicts=True,
    )
    _turn(window, now)


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
    note_status(window, now)
    if ended:
        logger.info("maintenance_window_ended", window=window.name)
        mediator.publish("maintenance_ended", window_id=window.pk)
    if began:
        logger.info("maintenance_window_began", window=window.name)
        mediator.publish("maintenance_began", window_id=window.pk)


def note_status(window: MaintenanceWindow, now: datetime) -> None:
    """Write the status that its times give a window."""
    status = status_at(window, now)
    if status != window.status:
        window.status = status
        window.save(update_fields=["status", "updated_at"])


def status_at(window: MaintenanceWindow, now: datetime) -> WindowStatus:
    """Return how far a window is that was not called off, by its times."""
    rows = window.occurrences
    if rows.filter(starts_at__lte=now, ends_at__gt=now).exists():
        return WindowStatus.IN_PROGRESS
    goes_on = window.recurs and (window.ends_at is None or window.ends_at > now)
    if goes_on or rows.filter(starts_at__gt=now).exists():
        return WindowStatus.SCHEDULED
    return WindowStatus.COMPLETED
