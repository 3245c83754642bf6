"""Makes circuits of the breaker states of the earlier system (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from integration_site.adoption.conversion.values import Cells, id_for
from registry.models import CircuitBreakerState, CircuitState

RESET_SECONDS = 60  # after which the earlier system tried again


def convert_circuits(
    rows: Iterable[Cells], instances: Mapping[str, UUID], *, now: datetime
) -> list[CircuitBreakerState]:
    """Return the circuits of the instances of these service ids; the rest is left."""
    circuits: dict[UUID, CircuitBreakerState] = {}
    for cells in rows:
        instance = instances.get(cells.row.get("service_id") or "")
        if instance is None:
            cells.notes.left("no registered service has its service_id")
        elif instance in circuits:
            cells.notes.left("its instance has another circuit already")
        else:
            circuits[instance] = _convert(cells, instance, now=now)
    return list(circuits.values())


def _convert(cells: Cells, instance: UUID, *, now: datetime) -> CircuitBreakerState:
    state = cells.enum("state", CircuitState, CircuitState.CLOSED)
    failed_at = cells.time("last_failure_time")
    if state == CircuitState.HALF_OPEN:
        cells.notes.mended("state", "was HALF_OPEN; taken as OPEN and due for its next try")
        state = CircuitState.OPEN
    circuit = CircuitBreakerState(
        id=id_for(str(instance), of="circuit_breaker_state"),
        instance_id=instance,
        state=state,
        failure_count=cells.count("failure_count"),
        last_failure_at=failed_at,
    )
    if state == CircuitState.OPEN:
        opened = failed_at or now
        circuit.opened_at = opened
        circuit.retry_at = opened + timedelta(seconds=RESET_SECONDS)
        circuit.open_count = 1
        circuit.cause = "It was open in the earlier system"
    return circuit
