"""Executing an integration: map the request, call, map the answer, keep what became of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import DatabaseError
from django.utils import timezone

from core import audit
from core.db.models import find_bound
from core.db.uuid7 import uuid7
from core.exceptions import Conflict, IntegrationError, NotFound
from core.expressions import ExpressionError, Recorded
from core.models import AuditVerb
from core.suggestions import no_such_row
from registry.calls.blocking_client import on_shared_loop
from registry.calls.client import CallResult, ServiceClient
from registry.calls.permits import Permit
from registry.calls.request import FittedInput, fit_input
from registry.calls.targets.connection_targets import refuse_disabled
from registry.calls.targets.resolver import CallTarget, resolve
from registry.discovery.base import get_discovery
from registry.exceptions import RegistryUnreachableError
from registry.integrations.grants import permit_of
from registry.integrations.history import Attempt, Result, record_attempt
from registry.models import EXECUTABLE, Integration, TargetKind
from registry.policies.integration_mapping import map_answer, map_request


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrationCall:
    """The input of an execution, and who asks; `headers` are those of the call."""

    payload: Mapping[str, Any]
    context: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float | None = None
    actor: str = ""
    # Asked, after the integration's own grant, before a credential is used.
    permit: Permit | None = None


@dataclass(frozen=True, slots=True)
class Executed:
    """The result of an execution; `request` is what was sent, and not kept."""

    id: UUID
    integration: str
    output: Any
    request: Mapping[str, Any]
    warnings: Sequence[Mapping[str, Any]]
    service: str
    instance: str
    upstream_status: int
    started_at: datetime
    duration_ms: float
    fail_open: bool = False


def find_integration(reference: str, key: str = "") -> Integration:
    """Return the integration with the id `key` if there is one, else that of the id or name.

    Raises:
        NotFound: there is none.
    """
    integration = find_bound(Integration.objects, reference, key=key)
    if integration is None:
        raise NotFound(no_such_row(Integration.objects, reference))
    return integration


def find_executable(reference: str, key: str = "") -> Integration:
    """The same, or the one with the id `key` if there is one, if it may be executed.

    Raises:
        NotFound: there is none.
        Conflict: it is a DRAFT, or INACTIVE.
    """
    integration = find_integration(reference, key)
    if integration.status not in EXECUTABLE:
        raise Conflict(
            f"The integration '{integration.name}' is {integration.status};"
            " only an ACTIVE one is executed."
        )
    return integration


def preview_request(integration: Integration, call: IntegrationCall) -> FittedInput:
    """Return what would be sent, and what of it dropped; nothing is called.

    Raises:
        ExpressionError: the mapping fails on this payload.
        SchemaViolation: the request does not fit the target.
        ServiceNotFoundError: the target is not there.
    """
    at = timezone.now()
    scope = scope_of(integration, call, id=uuid7(), at=at)
    request = map_request(integration.request_mapping, scope, Recorded(at, "preview"))
    if integration.target_kind == TargetKind.CONNECTION:
        return FittedInput(request, [])
    action = resolve(_target_of(integration), integration.action)
    return fit_input(action, request, policy=integration.unknown_fields, trim=False)


def may_be_repeated(integration: Integration) -> bool:
    """Return whether it may be sent again when nobody knows whether it arrived.

    Raises:
        ServiceNotFoundError: its service or action is not there.
    """
    if integration.target_kind == TargetKind.CONNECTION:
        return True  # the Idempotency-Key is the same
    return resolve(_target_of(integration), integration.action).idempotent


def _target_of(integration: Integration) -> CallTarget:
    return CallTarget(integration.target_kind.lower(), integration.target)


@dataclass(frozen=True, slots=True)
class Attempted:
    """An attempt that is over, and what came of it."""

    attempt: Attempt
    outcome: Executed | IntegrationError


def execute_integration(integration: Integration, call: IntegrationCall) -> Executed:
    """Call the target of an integration now, whatever its status, and keep what became of it.

    Raises:
        SchemaViolation: the request does not fit the target; nothing was sent.
        ExpressionError: a mapping fails on this payload, or on this answer.
        CallError: no usable answer came; the subclass says why.
    """
    return keep_attempt(begin_attempt(integration, call).result())


def begin_attempt(integration: Integration, call: IntegrationCall) -> Future[Attempted]:
    """Begin the same; what comes of it is to be kept with `keep_attempt`."""
    audit.record_use(AuditVerb.CALLED, integration)
    attempt, as_of = _begin(integration, call), get_discovery().latest_index()

    async def carry_out(client: ServiceClient) -> Attempted:
        try:
            return Attempted(attempt, await _carry_out(client, attempt, call, as_of))
        except IntegrationError as error:
            return Attempted(attempt, error)

    return on_shared_loop(carry_out)


def keep_attempt(attempted: Attempted) -> Executed:
    """Keep what became of an attempt, and return what was executed. Raises: what it failed with."""
    attempt, outcome = attempted.attempt, attempted.outcome
    if isinstance(outcome, IntegrationError):
        record_attempt(attempt, _failure(attempt, outcome))
        raise outcome
    record_attempt(attempt, _success(outcome))
    return outcome


async def run_integration(
    client: ServiceClient, reference: str, call: IntegrationCall, *, key: str = ""
) -> Executed:
    """The same on an event loop, for one that may be executed; `key` as of `find_executable`.

    Raises:
        NotFound, Conflict: there is none, or it may not be executed.
        RegistryUnreachableError: the database does not answer; nothing was sent.
        IntegrationError: as of `execute_integration`.
    """
    try:
        integration = await client.in_database(find_executable, reference, key)
        as_of = await client.in_database(get_discovery().latest_index)
    except DatabaseError as error:
        sentence = "The hub's own database did not say what the integration is."
        raise RegistryUnreachableError(sentence) from error
    attempt = _begin(integration, call)
    try:
        executed = await _carry_out(client, attempt, call, as_of)
    except RegistryUnreachableError:
        raise  # nothing was sent, and whoever asks comes again
    except IntegrationError as error:
        await client.in_database(record_attempt, attempt, _failure(attempt, error))
        raise
    await client.in_database(record_attempt, attempt, _success(executed))
    return executed


def _begin(integration: Integration, call: IntegrationCall) -> Attempt:
    return Attempt(
        id=uuid7(),
        integration=integration,
        actor=call.actor,
        request_id=call.headers.get("X-Request-ID", ""),
        correlation_id=call.headers.get("X-Correlation-ID", ""),
        started_at=timezone.now(),
        clock=time.monotonic(),
    )


async def _carry_out(
    client: ServiceClient, attempt: Attempt, call: IntegrationCall, as_of: int
) -> Executed:
    integration = attempt.integration
    scope = scope_of(integration, call, id=attempt.id, at=attempt.started_at)
    recorded = Recorded(attempt.started_at, f"{attempt.id}:request")
    request = map_request(integration.request_mapping, scope, recorded)
    attempt.sending = True
    result = await _call(client, integration, request, call, as_of)
    recorded = Recorded(attempt.started_at, f"{attempt.id}:answer")
    try:
        seen = {**scope, "output": result.output}
        output = map_answer(integration.response_mapping, seen, recorded)
    except ExpressionError as error:
        raise _unusable_answer(error) from None
    return Executed(
        attempt.id,
        integration.name,
        output,
        result.sent,
        result.warnings,
        result.service,
        result.instance,
        result.status_code,
        attempt.started_at,
        attempt.duration_ms(),
        result.fail_open,
    )


def scope_of(
    integration: Integration, call: IntegrationCall, *, id: UUID, at: datetime
) -> dict[str, Any]:
    """Return what the mapping of a request may read."""
    execution = {"id": str(id), "integration": integration.name, "started_at": at.isoformat()}
    return {"input": call.payload, "context": call.context, "execution": execution}


async def _call(
    client: ServiceClient,
    integration: Integration,
    request: Mapping[str, Any],
    call: IntegrationCall,
    as_of: int,
) -> CallResult:
    seconds = call.timeout_seconds or integration.config.get("timeout_seconds")
    if integration.connection is not None:
        refuse_disabled(integration.connection)
        return await client.call_connection(
            str(integration.connection.pk),
            request,
            method=integration.method,
            path=integration.path,
            headers=call.headers,
            deadline=None if seconds is None else time.monotonic() + seconds,
            actor=call.actor,
            permit=permit_of(integration, call.permit),
        )
    return await client.call(
        _target_of(integration),
        integration.action,
        request,
        headers=call.headers,
        timeout_seconds=seconds,
        unknown_fields=integration.unknown_fields,
        as_of=as_of,
        actor=call.actor,
        permit=permit_of(integration, call.permit),
    )


def _unusable_answer(error: ExpressionError) -> IntegrationError:
    """The target's answer is not the caller's fault."""
    failed = IntegrationError(f"The answer cannot be mapped: {error.message}")
    failed.permanent = True
    return failed


def _failure(attempt: Attempt, error: IntegrationError) -> Result:
    error.details.setdefault("integration", attempt.integration.name)
    error.details.setdefault("execution_id", str(attempt.id))
    return Result(error=error)


def _success(executed: Executed) -> Result:
    return Result(
        service=executed.service,
        instance=executed.instance,
        upstream_status=executed.upstream_status,
        warnings=list(executed.warnings),
    )
