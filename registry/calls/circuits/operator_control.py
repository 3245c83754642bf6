"""Opens, closes, disables and resets circuits on the order of an operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from core import audit
from core.exceptions import NotFound, ValidationFailed
from core.identifiers import read_id
from core.models import AuditVerb
from core.models.audit import MAX_REASON
from registry.calls.circuits import store
from registry.calls.circuits.transitions import Circuit, closed
from registry.discovery.change_log import record_change
from registry.models import (
    CircuitBreakerState,
    CircuitState,
    Connection,
    RegistryChangeKind,
    ServiceInstance,
)

LONGEST = timedelta(days=365)


class Control(StrEnum):
    """An act on a circuit by hand."""

    OPEN = "open"
    CLOSE = "close"
    DISABLE = "disable"
    RESET = "reset"


_VERBS = {
    Control.OPEN: AuditVerb.FORCED_OPEN,
    Control.CLOSE: AuditVerb.CLOSED,
    Control.DISABLE: AuditVerb.DISABLED,
    Control.RESET: AuditVerb.RESET,
}
HELD = {Control.OPEN: CircuitState.FORCED_OPEN, Control.DISABLE: CircuitState.DISABLED}


@dataclass(frozen=True, kw_only=True)
class Order:
    """An act with its actor and reason; `until` or `seconds` end it by itself."""

    control: Control
    actor: str
    reason: str
    until: datetime | None = None
    seconds: float | None = None


def control_circuit(reference: str, order: Order) -> CircuitBreakerState:
    """Carry an order out on the circuit of that id, or that guards what has that id.

    OPEN refuses every call and DISABLE lets every call through, until they end or another order
    comes. CLOSE lets calls through and counts from zero; RESET also forgets what was before.

    Raises:
        NotFound: there is no such circuit, instance or connection.
        ValidationFailed: a reason or an end that makes no sense.
    """
    _check(order)
    guarded_id = _guarded_id(reference)
    store.load([guarded_id])
    with transaction.atomic():
        before = get_circuit(guarded_id)
        changed = store.change(
            guarded_id, _decision(order), actor=order.actor, reason=order.reason.strip()
        )
        if changed is None:
            raise _unknown(reference)
        circuit = get_circuit(guarded_id)
        changes: dict[str, Any] = {"state": [before.state, circuit.state]}
        if circuit.until != before.until:
            changes["until"] = [before.until, circuit.until]
        audit.record(_VERBS[order.control], circuit, reason=order.reason, changes=changes)
        if circuit.instance is not None:  # later calls read the circuit again
            record_change(circuit.instance.service, RegistryChangeKind.UPDATED, ("circuit",))
    return circuit


def get_circuit(reference: str) -> CircuitBreakerState:
    """Return the circuit of that id, or that guards the instance or connection of that id.

    Raises:
        NotFound: there is none.
    """
    rows = CircuitBreakerState.objects.with_places()
    key = read_id(reference)
    circuit = rows.filter(_condition(key)).first() if key else None
    if circuit is None:
        raise _unknown(reference)
    return circuit


def _condition(key: UUID) -> Q:
    return Q(pk=key) | Q(instance=key) | Q(connection=key)


def _unknown(reference: str) -> NotFound:
    return NotFound(
        f"No circuit breaker, instance or connection has the id '{str(reference)[:100]}'."
    )


def _guarded_id(reference: str) -> str:
    if key := read_id(reference):
        row = CircuitBreakerState.objects.filter(_condition(key)).first()
        if row is not None:
            return str(row.guarded_id)
        for model in (ServiceInstance, Connection):
            if model.objects.filter(pk=key).exists():
                return str(key)
    raise _unknown(reference)


def _check(order: Order) -> None:
    errors: dict[str, list[str]] = {}
    if not 0 < len(order.reason.strip()) <= MAX_REASON:
        errors["reason"] = [f"Say why, in at most {MAX_REASON} characters."]
    if order.until is not None and order.seconds is not None:
        errors["until"] = ["Give until or seconds, not both."]
    for name in ("until", "seconds"):
        if getattr(order, name) is not None and order.control not in HELD:
            errors[name] = ["Only open and disable end by themselves."]
    if order.seconds is not None and not 0 < order.seconds <= LONGEST.total_seconds():
        errors["seconds"] = ["Must be more than 0 and at most a year."]
    if errors:
        raise ValidationFailed.by_path(errors)


def _decision(order: Order) -> Callable[[Circuit, datetime], Circuit]:
    def decide(circuit: Circuit, now: datetime) -> Circuit:
        fresh = closed(circuit)
        if order.control is Control.RESET:
            return Circuit(generation=fresh.generation)
        if order.control is Control.CLOSE:
            return fresh
        state = HELD[order.control]
        return replace(
            fresh,
            state=state,
            opened_at=now if state == CircuitState.FORCED_OPEN else circuit.opened_at,
            until=_end(order, now),
            forced_by=order.actor[:100],
            reason=order.reason.strip(),
        )

    return decide


def _end(order: Order, now: datetime) -> datetime | None:
    """Return when the order ends.

    Raises:
        ValidationFailed: that is in the past, or further off than a year.
    """
    end = order.until if order.seconds is None else now + timedelta(seconds=order.seconds)
    if end is not None and not now < end <= now + LONGEST:
        sentence = "Must be in the future, and within a year."
        raise ValidationFailed.at("until", sentence)
    return end
