"""Windows of maintenance are made, changed, called for at once, ended early and called off."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from core import audit
from core.db.locking import columns_of, lock_row, save_if_changed, unique_name
from core.exceptions import Conflict, ValidationFailed
from core.json.merge_patch import resolved
from core.mediator import mediator
from core.models import AuditVerb
from core.models.audit import MAX_ACTOR
from monitoring.maintenance.planning import LIVE, note_status, plan_window, status_at
from monitoring.maintenance.rules import check_to_come, check_window
from monitoring.models import MaintenanceWindow, OccurrenceState, WindowStatus
from registry.models import Service

logger = structlog.get_logger(__name__)

TIMES = ("starts_at", "ends_at", "cron", "duration_minutes", "timezone")
PLAIN = (
    "name", "description", "services", "tags", "types", "everything", *TIMES, "suppress_alerts",
    "public",
)  # fmt: skip


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
        if not _end_current(locked, now):
            raise Conflict("It is not under way.")
        note_status(locked, now)
        audit.record(AuditVerb.MAINTENANCE_ENDED, locked)
    logger.info("maintenance_window_ended", window=locked.name, actor=actor)
    mediator.publish("maintenance_ended", window_id=locked.pk)
    return locked


def create_window(fields: Mapping[str, Any], *, actor: str) -> MaintenanceWindow:
    """Plan a window, once or recurring; it begins by itself.

    Raises:
        ValidationFailed: a field breaks a rule, or it is over already.
        Conflict: the name is taken.
    """
    now = timezone.now()
    window = MaintenanceWindow(created_by=actor[:MAX_ACTOR])
    _assign(window, fields)
    check_to_come(window, now)
    with unique_name(window, fields), transaction.atomic():
        window.save(force_insert=True)
        audit.record(AuditVerb.CREATED, window)
        plan_window(window, now=now)
    logger.info("maintenance_window_created", window=window.name, actor=actor)
    return window


def update_window(
    window: MaintenanceWindow, fields: Mapping[str, Any], *, actor: str, if_unchanged: bool = False
) -> MaintenanceWindow:
    """Change what is given; with other times, those that have not begun are planned anew.

    Raises:
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken, or its times cannot be changed any more.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    now = timezone.now()
    with unique_name(window, fields), transaction.atomic():
        locked = lock_row(window, if_unchanged=if_unchanged)
        kept, columns = audit.snapshot(locked), columns_of(locked)
        was = {name: getattr(locked, name) for name in TIMES}
        _assign(locked, fields)
        moved = [name for name in TIMES if getattr(locked, name) != was[name]]
        if moved:
            _check_move(locked, was, moved, now)
        save_if_changed(locked, columns)
        if moved:
            _move(locked, now)
        audit.record_changes(locked, kept)
    logger.info(
        "maintenance_window_changed", window=locked.name, actor=actor, fields=sorted(fields)
    )
    return locked


def extend_window(window: MaintenanceWindow, minutes: int, *, actor: str) -> MaintenanceWindow:
    """Let what is under way end so many minutes later.

    Raises:
        Conflict: it is not under way.
    """
    now, more = timezone.now(), timedelta(minutes=minutes)
    with transaction.atomic():
        locked = lock_row(window)
        current = _current(locked, now).order_by("-ends_at").first()
        if current is None:
            raise Conflict("It is not under way.")
        current.ends_at += more
        current.save(update_fields=["ends_at", "updated_at"])
        if not locked.recurs:
            locked.ends_at = current.ends_at
            locked.save(update_fields=["ends_at", "updated_at"])
        audit.record(AuditVerb.CHANGED, locked, reason=f"{minutes} minutes longer.")
    logger.info("maintenance_window_extended", window=locked.name, actor=actor, minutes=minutes)
    return locked


def cancel_window(window: MaintenanceWindow, *, actor: str, reason: str = "") -> MaintenanceWindow:
    """Call a window off for good: what is under way ends, and nothing of it comes any more.

    Raises:
        Conflict: it is over, or called off already.
    """
    now = timezone.now()
    with transaction.atomic():
        locked = lock_row(window)
        plan_window(locked, now=now)
        if locked.status not in LIVE:
            raise Conflict(f"It is {locked.get_status_display().lower()} already.")
        ended = _end_current(locked, now)
        locked.occurrences.filter(starts_at__gt=now).delete()
        locked.status = WindowStatus.CANCELLED
        locked.save(update_fields=["status", "updated_at"])
        audit.record(AuditVerb.CANCELLED, locked, reason=reason)
    logger.info("maintenance_window_cancelled", window=locked.name, actor=actor)
    if ended:
        mediator.publish("maintenance_ended", window_id=locked.pk)
    return locked


def delete_window(window: MaintenanceWindow, *, actor: str, if_unchanged: bool = False) -> None:
    """Delete a window with its times, as if it had never been.

    Raises:
        Conflict: it is under way.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with transaction.atomic():
        locked = lock_row(window, if_unchanged=if_unchanged)
        if _current(locked, timezone.now()).exists():
            raise Conflict("It is under way: finish or cancel it first.")
        audit.record(AuditVerb.DELETED, locked)
        locked.delete()
    logger.info("maintenance_window_deleted", window=window.name, actor=actor)


def check_window_fields(window: MaintenanceWindow, fields: Mapping[str, Any]) -> None:
    """Hold what would be given against every rule; nothing is stored.

    Raises:
        ValidationFailed: a field breaks a rule.
    """
    _assign(window, fields)
    if window._state.adding:
        check_to_come(window, timezone.now())


def _assign(window: MaintenanceWindow, fields: Mapping[str, Any]) -> None:
    for name, value in resolved(window, fields).items():
        if name in PLAIN:
            setattr(window, name, value)
    window.cron = " ".join(window.cron.split())
    check_window(window)


def _check_move(
    window: MaintenanceWindow, was: Mapping[str, Any], moved: list[str], now: datetime
) -> None:
    """Refuse to move what is over, and what began to another beginning."""
    if window.status not in LIVE or status_at(window, now) == WindowStatus.COMPLETED:
        raise Conflict("It is over, or was called off: plan another window.")
    check_to_come(window, now)
    if not _current(window, now).exists():
        return
    if bool(was["cron"]) != window.recurs:
        raise Conflict("It is under way: finish it before it is planned in another way.")
    if not window.recurs and "starts_at" in moved:
        raise Conflict("It has begun, so that starts_at stays. Change ends_at, or finish it.")


def _move(window: MaintenanceWindow, now: datetime) -> None:
    """Plan anew what has not begun; one that is once and under way ends when it says now."""
    if not window.recurs:
        _current(window, now).update(ends_at=window.ends_at, updated_at=now)
    window.occurrences.filter(starts_at__gt=now).delete()
    plan_window(window, now=now)


def _current(window: MaintenanceWindow, now: datetime) -> Any:
    return window.occurrences.filter(starts_at__lte=now, ends_at__gt=now)


def _end_current(window: MaintenanceWindow, now: datetime) -> int:
    ended: int = _current(window, now).update(
        ends_at=now, state=OccurrenceState.COMPLETED, updated_at=now
    )
    return ended
