"""Finds, creates, updates, enables and deletes schedules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from core import audit
from core.db.clock import database_now
from core.db.locking import columns_of, lock_row, save_if_changed, unique_name
from core.db.validation import as_validation_failed
from core.exceptions import Conflict, UseDenied, ValidationFailed
from core.instants import InstantRefused, in_utc
from core.models import AuditVerb
from core.timetables import CronRefused, Timetable, read_timetable, zone_of
from core.timetables.cron import FIRST_YEAR
from core.timetables.rule import LAST_YEAR
from workflows.execution_rows import check_context
from workflows.models import Workflow, WorkflowSchedule
from workflows.services.definitions.retirement import OPERATE
from workflows.services.executions.start import version_of
from workflows.services.schedules.input_check import check_schedule

logger = structlog.get_logger(__name__)

SHOWN_TICKS = 5
# A change of these moves the next tick.
_TIMES = ("cron", "timezone", "starts_at", "ends_at", "enabled")


def get_schedule(reference: str) -> WorkflowSchedule:
    """Return the schedule of that id or name, with its workflow.

    Raises:
        NotFound: there is none.
    """
    return WorkflowSchedule.objects.with_workflow().get_named(reference)


def create_schedule(
    fields: Mapping[str, Any], *, actor: str = "", may_operate: bool = True
) -> WorkflowSchedule:
    """Store a new schedule; `workflow` is a row, an id or a name, `version` a number.

    Raises:
        ValidationFailed: a field breaks a rule, or the version is retired.
        UseDenied: it names a version, without `may_operate`.
        Conflict: the name is taken.
    """
    schedule = WorkflowSchedule(owner=actor)
    _assign(schedule, fields)
    _check_version(schedule, (), may_operate=may_operate)
    with transaction.atomic():
        _save_checked(schedule)
        audit.record(AuditVerb.CREATED, schedule)
    logger.info("schedule_created", schedule=schedule.name, actor=actor)
    return schedule


def update_schedule(
    schedule: WorkflowSchedule,
    fields: Mapping[str, Any],
    *,
    actor: str = "",
    if_unchanged: bool = False,
    may_operate: bool = True,
) -> WorkflowSchedule:
    """Change what is given. The next tick moves only with the times, so that a due one is kept.

    Raises:
        ValidationFailed: a field breaks a rule, or another version is given that is retired.
        UseDenied: what it gives a version that it names is changed, without `may_operate`.
        Conflict: the name is taken.
        NotFound: it was deleted meanwhile.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with transaction.atomic():
        locked = lock_schedule(schedule, if_unchanged=if_unchanged)
        kept, columns = audit.snapshot(locked), columns_of(locked)
        before = {name: getattr(locked, name) for name in _TIMES}
        started = _started_by(locked)
        _assign(locked, fields)
        _check_version(locked, started, may_operate=may_operate)
        moved = any(getattr(locked, name) != value for name, value in before.items())
        _save_checked(locked, columns, keep_next=not moved)
        audit.record_changes(locked, kept)
    logger.info("schedule_changed", schedule=locked.name, actor=actor, fields=sorted(fields))
    return locked


def set_enabled(schedule: WorkflowSchedule, enabled: bool, *, actor: str = "") -> WorkflowSchedule:
    """Switch on or off; ticks of the time between are not made up for."""
    return update_schedule(schedule, {"enabled": enabled}, actor=actor)


def delete_schedule(
    schedule: WorkflowSchedule, *, actor: str = "", if_unchanged: bool = False
) -> None:
    """Delete a schedule and the record of its runs; executions go on and stay.

    Raises:
        NotFound: it was deleted meanwhile.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with transaction.atomic():
        locked = lock_schedule(schedule, if_unchanged=if_unchanged)
        audit.record(AuditVerb.DELETED, locked)
        locked.delete()
    logger.info("schedule_deleted", schedule=schedule.name, actor=actor)


def lock_schedule(schedule: WorkflowSchedule, *, if_unchanged: bool = False) -> WorkflowSchedule:
    """Lock a schedule, which alone is locked, with its workflow and version; see `lock_row`."""
    rows = WorkflowSchedule.objects.select_related("workflow__current_version", "version")
    return lock_row(schedule, if_unchanged=if_unchanged, rows=rows)


def timetable_of(schedule: WorkflowSchedule) -> Timetable:
    """Return when a stored schedule is due, whether it is enabled or not.

    Raises:
        ValidationFailed: its time zone is not known any more.
    """
    try:
        return read_timetable(
            schedule.cron,
            schedule.timezone,
            starts_at=schedule.starts_at,
            ends_at=schedule.ends_at,
        )
    except CronRefused as error:
        raise ValidationFailed(str(error), errors={error.field: [str(error)]}) from None


def next_ticks(schedule: WorkflowSchedule, *, count: int = SHOWN_TICKS) -> list[datetime]:
    """Return the next ticks; none of a schedule that is disabled or unreadable by now."""
    if not schedule.enabled or schedule.next_run_at is None:
        return []
    try:
        following = timetable_of(schedule).upcoming(schedule.next_run_at, count - 1)
    except ValidationFailed:
        return []
    return [schedule.next_run_at, *following]


def check_year(name: str, moment: datetime | None) -> None:
    """Refuse a time that is far off.

    Raises:
        ValidationFailed: it is not from 2000 to 2199.
    """
    if moment is not None and not FIRST_YEAR <= moment.year <= LAST_YEAR:
        sentence = f"Use a time from {FIRST_YEAR} to {LAST_YEAR}."
        raise ValidationFailed.at(name, sentence)


def in_zone_of(timezone: str, name: str, moment: datetime | None) -> datetime | None:
    """Return a time in UTC; one without an offset is in the time zone of its schedule.

    Raises:
        ValidationFailed: there is no such zone, or no such time in UTC.
    """
    if moment is None:
        return None
    try:
        return in_utc(moment, zone_of(timezone))
    except CronRefused as error:
        raise ValidationFailed(str(error), errors={error.field: [str(error)]}) from None
    except InstantRefused as error:
        raise ValidationFailed.at(name, str(error)) from None


def _assign(schedule: WorkflowSchedule, fields: Mapping[str, Any]) -> None:
    values = dict(fields)
    if "workflow" in values:
        schedule.workflow = Workflow.objects.get_given("workflow", values.pop("workflow"))
        if "version" not in values and schedule.version is not None:
            values["version"] = schedule.version.number
    number = values.pop("version", schedule.version.number if schedule.version else None)
    for name, value in values.items():
        setattr(schedule, name, value)
    for name in ("starts_at", "ends_at"):
        setattr(schedule, name, in_zone_of(schedule.timezone, name, getattr(schedule, name)))
    if number is not None and schedule.workflow_id is not None:
        schedule.version = version_of(schedule.workflow, number)
    elif number is None:
        schedule.version = None


def _started_by(schedule: WorkflowSchedule) -> tuple[Any, ...]:
    """Return what a schedule starts: which version, with what."""
    return schedule.version_id, schedule.workflow_id, schedule.input, schedule.context


def _check_version(
    schedule: WorkflowSchedule, before: tuple[Any, ...], *, may_operate: bool
) -> None:
    """Refuse a version that may not be named: it is started whichever is the active one.

    Raises:
        UseDenied: what is started of it is not as `before`, without `may_operate`.
        ValidationFailed: it is another one, and retired.
    """
    version, started = schedule.version, _started_by(schedule)
    if version is None or started == before:
        return
    if not may_operate:
        raise UseDenied(
            "A schedule that names a version starts it whichever is the active one. That needs the"
            f" scope {OPERATE}; without a version it starts the active one."
        )
    if version.is_retired and started[:1] != before[:1]:
        raise ValidationFailed.at(
            "version", f"Version {version.number} is retired: {version.retired_reason}"
        )


def _save_checked(
    schedule: WorkflowSchedule, before: dict[str, Any] | None = None, *, keep_next: bool = False
) -> None:
    schedule.cron = " ".join(str(schedule.cron).split())
    try:
        schedule.full_clean(
            exclude=("workflow", "version"), validate_unique=False, validate_constraints=False
        )
    except ValidationError as error:
        raise as_validation_failed(error) from None
    check_year("starts_at", schedule.starts_at)
    check_year("ends_at", schedule.ends_at)
    if schedule.starts_at and schedule.ends_at and schedule.ends_at <= schedule.starts_at:
        sentence = "It ends before it starts."
        raise ValidationFailed(sentence, errors={"ends_at": [sentence]})
    check_context(schedule.context)
    check_schedule(schedule)
    timetable = timetable_of(schedule)
    if not keep_next:
        schedule.next_run_at = timetable.next(database_now()) if schedule.enabled else None
    with unique_name(schedule):
        try:
            with transaction.atomic():
                save_if_changed(schedule, before)
        except IntegrityError:
            if not Workflow.objects.filter(pk=schedule.workflow_id).exists():
                raise Conflict("The workflow was deleted meanwhile.") from None
            raise


def preview(
    *,
    cron: str,
    timezone: str,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> list[datetime]:
    """Return the next ticks that a schedule with these times would have.

    Raises:
        ValidationFailed: the expression or the time zone is not one.
    """
    starts_at = in_zone_of(timezone, "starts_at", starts_at)
    ends_at = in_zone_of(timezone, "ends_at", ends_at)
    check_year("starts_at", starts_at)
    check_year("ends_at", ends_at)
    schedule = WorkflowSchedule(cron=cron, timezone=timezone, starts_at=starts_at, ends_at=ends_at)
    return timetable_of(schedule).upcoming(database_now().astimezone(UTC), SHOWN_TICKS)
