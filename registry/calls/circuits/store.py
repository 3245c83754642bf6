"""Reads and changes the rows of circuits, under a lock or by a conditional update.

Every time here is the database's. Functions return a `CircuitReading`, the row and the time it
was read at, or None when the row, or what it guards, is gone. An instance and a
connection are both named by their id alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction
from django.db.models import DateTimeField as Moment
from django.db.models import ExpressionWrapper, F, Q
from django.db.models.functions import Now

from core.mediator import mediator
from registry.calls.circuits.transitions import (
    CallOutcome,
    Circuit,
    after_lapse,
    has_lapsed,
    record,
)
from registry.models import CircuitBreakerState, CircuitState, Connection, ServiceInstance
from registry.models.circuit import CircuitQuerySet
from registry.policies.circuit_profile import Profile

logger = structlog.get_logger(__name__)

# A change is visible at most this long after the time it carries.
LONGEST_CHANGE = timedelta(seconds=5)
_COLUMNS = tuple(field.name for field in fields(Circuit))


@dataclass(frozen=True, slots=True)
class CircuitReading:
    """A row as it was at `read_at`."""

    guarded_id: str
    circuit: Circuit
    read_at: datetime
    updated_at: datetime


def load(guarded_ids: Collection[str]) -> list[CircuitReading]:
    """Return the circuits of these instances and connections; make those that are missing."""
    readings = _read(_rows(*guarded_ids))
    missing = set(guarded_ids) - {reading.guarded_id for reading in readings}
    if not missing:
        return readings
    rows = _new_rows([UUID(pk) for pk in missing])
    try:
        with transaction.atomic():
            CircuitBreakerState.objects.bulk_create(rows, ignore_conflicts=True)
    except IntegrityError:
        # One was removed in between. The others are made when they are asked for again.
        logger.info("circuits_not_made", count=len(rows))
    return readings + _read(_rows(*missing))


def _new_rows(ids: list[UUID]) -> list[CircuitBreakerState]:
    instances = ServiceInstance.objects.filter(pk__in=ids).values_list("pk", flat=True)
    rows = [CircuitBreakerState(instance_id=pk) for pk in instances]
    if len(rows) < len(ids):
        connections = Connection.objects.filter(pk__in=ids).values_list("pk", flat=True)
        rows += [CircuitBreakerState(connection_id=pk) for pk in connections]
    return rows


def changed_since(moment: datetime) -> list[CircuitReading]:
    """Return the circuits that changed since then, and some that changed shortly before."""
    return _read(CircuitBreakerState.objects.filter(updated_at__gte=moment - LONGEST_CHANGE))


def record_outcomes(
    guarded_id: str, outcomes: Sequence[CallOutcome], profile: Profile
) -> CircuitReading | None:
    """Count outcomes, and open or close the circuit where they say so: all at once, or nothing."""
    return change(guarded_id, lambda circuit, now: record(circuit, outcomes, profile, now=now))


def claim_probe(guarded_id: str, *, owner: str, lease_seconds: float) -> CircuitReading | None:
    """Claim the probe of an open circuit: None before its time, or where another worker has it.

    `owner` has to be new for each claim. The generation rises with it, so a probe that
    outlived its lease decides nothing.
    """
    lease = ExpressionWrapper(Now() + timedelta(seconds=lease_seconds), output_field=Moment())
    is_free = Q(probe_until=None) | Q(probe_until__lte=Now())
    due = _rows(guarded_id).filter(is_free, retry_at__lte=Now())
    # Which update found the row tells the state that was left; at most one does.
    for was in (CircuitState.OPEN, CircuitState.HALF_OPEN):
        claimed = due.filter(state=was).update(
            state=CircuitState.HALF_OPEN,
            generation=F("generation") + 1,
            probe_owner=owner,
            probe_until=lease,
            updated_at=Now(),
        )
        if claimed:
            return _claimed(guarded_id, owner, was)
    return None


def _claimed(guarded_id: str, owner: str, was: str) -> CircuitReading | None:
    reading = _first(_rows(guarded_id).filter(probe_owner=owner))
    if reading is not None and was != reading.circuit.state:
        announce(reading, was=was)
    return reading


def release_probe(guarded_id: str, *, owner: str) -> None:
    """Give up a probe that told nothing: the next call may probe at once."""
    claimed = _rows(guarded_id).filter(probe_owner=owner)
    claimed.update(probe_owner="", probe_until=None, updated_at=Now())


def change(
    guarded_id: str,
    decide: Callable[[Circuit, datetime], Circuit],
    *,
    actor: str = "",
    reason: str = "",
) -> CircuitReading | None:
    """Put `decide(circuit, now)` in place of a circuit, as `actor` wants it."""
    with transaction.atomic():
        before = _lock(guarded_id)
        if before is None:
            return None
        after = decide(before.circuit, before.read_at)
        return _write(before, after, actor=actor, reason=reason)


def end_lapsed_controls(*, limit: int = 200) -> int:
    """Close the circuits that operators had opened or disabled until a time that is now past."""
    due = CircuitBreakerState.objects.filter(until__lte=Now()).order_by("until")[:limit]
    ended = 0
    for reading in _read_in_order(due):
        with transaction.atomic():
            before = _lock(reading.guarded_id)
            if before is not None and has_lapsed(before.circuit, now=before.read_at):
                _write(before, after_lapse(before.circuit, now=before.read_at))
                ended += 1
    return ended


# --- Rows ---


def _rows(*guarded_ids: str) -> CircuitQuerySet:
    ids = [UUID(pk) for pk in guarded_ids]
    return CircuitBreakerState.objects.filter(Q(instance_id__in=ids) | Q(connection_id__in=ids))


def _read(rows: Any) -> list[CircuitReading]:
    return _read_in_order(rows.order_by())


def _read_in_order(rows: Any) -> list[CircuitReading]:
    columns = ("instance_id", "connection_id", "updated_at", "read_at", *_COLUMNS)
    return [_reading(values) for values in rows.with_database_time().values(*columns)]


def _first(rows: Any) -> CircuitReading | None:
    return next(iter(_read(rows)), None)


def _reading(values: dict[str, Any]) -> CircuitReading:
    columns = {name: values[name] for name in _COLUMNS if name != "window"}
    window = tuple(tuple(bucket) for bucket in values["window"])
    return CircuitReading(
        guarded_id=str(values["instance_id"] or values["connection_id"]),
        circuit=Circuit(**columns, window=window),
        read_at=values["read_at"],
        updated_at=values["updated_at"],
    )


def _lock(guarded_id: str) -> CircuitReading | None:
    """Lock the row until the transaction ends; SQLite has one writer at a time anyway."""
    return _first(_rows(guarded_id).select_for_update())


def _write(
    before: CircuitReading, after: Circuit, *, actor: str = "", reason: str = ""
) -> CircuitReading:
    """Store what differs, and announce a change of the state once it is durable."""
    old = before.circuit
    changed = {n: getattr(after, n) for n in _COLUMNS if getattr(after, n) != getattr(old, n)}
    if not changed:
        return before
    if "window" in changed:
        changed["window"] = [list(bucket) for bucket in after.window]
    _rows(before.guarded_id).update(**changed, updated_at=Now())
    reading = CircuitReading(before.guarded_id, after, before.read_at, before.read_at)
    if after.generation != old.generation:
        transaction.on_commit(
            lambda: announce(reading, was=old.state, actor=actor, reason=reason), robust=True
        )
    return reading


# --- Events ---


def announce(reading: CircuitReading, *, was: str, actor: str = "", reason: str = "") -> None:
    """Log a change of the state and publish it as `circuit_changed`."""
    circuit = reading.circuit
    event = {
        **_guarded(reading.guarded_id),
        "old_state": str(was),
        "new_state": str(circuit.state),
        "cause": circuit.cause,
        "actor": actor,
        "reason": reason,
    }
    log = logger.warning if circuit.state in ("OPEN", "FORCED_OPEN") else logger.info
    log("circuit_changed", **{n: v for n, v in event.items() if v and not n.endswith("_id")})
    mediator.publish("circuit_changed", generation=circuit.generation, **event)


def _guarded(guarded_id: str) -> dict[str, str]:
    """Return what is guarded, for the record: an instance with its service, or a connection."""
    names = dict.fromkeys(
        ("service", "service_id", "instance_id", "connection", "connection_id", "url"), ""
    )
    instance = ServiceInstance.objects.select_related("service").filter(pk=guarded_id)
    row = instance.only("url", "service__name").first()
    if row is not None:
        service = {"service": row.service.name, "service_id": str(row.service_id)}
        return {**names, **service, "instance_id": guarded_id, "url": row.url}
    connection = Connection.objects.filter(pk=guarded_id).first()
    if connection is not None:
        named = {"connection": connection.name, "connection_id": guarded_id}
        return {**names, **named, "url": connection.address}
    return {**names, "instance_id": guarded_id}
