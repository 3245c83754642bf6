"""Making the call that a claimed step asks for."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import Any

from registry.calls.client import Behalf, CallResult
from registry.calls.headers import header_text
from registry.calls.targets.connection_action import parse_connection_action
from registry.calls.targets.resolver import CallTarget
from registry.exceptions import RegistryUnreachableError
from registry.integrations.execution import Executed, IntegrationCall, run_integration
from workflows.decide import CallSuccess
from workflows.definition import Compensation, Step, StepTarget
from workflows.engine.step_permit import permit_of
from workflows.engine.store import Claim

OUTAGE_PAUSE_SECONDS = 1.0


async def make_call(
    client: Any, claim: Claim, call: Step | Compensation, target: StepTarget
) -> CallSuccess:
    """Call what a step names; an outage of the hub's own database is waited out.

    Raises:
        IntegrationError: there is no usable answer.
    """
    while True:
        try:
            return await _send(client, claim, call, target)
        except RegistryUnreachableError:
            await asyncio.sleep(OUTAGE_PAUSE_SECONDS)


async def _send(
    client: Any, claim: Claim, call: Step | Compensation, target: StepTarget
) -> CallSuccess:
    """Call once. Raises: IntegrationError."""
    row, headers, permit = claim.row, headers_of(claim), permit_of(client, claim)
    if target.kind == "integration":
        integration_call = IntegrationCall(
            payload=row.input,
            context=claim.execution.context,
            headers=headers,
            timeout_seconds=call.timeout,
            actor="engine",
            permit=permit,
        )
        executed = await run_integration(client, target.name, integration_call, key=target.id)
        return _success(executed, executed.request)
    if target.kind == "connection":
        method, path = parse_connection_action(call.action or "")
        result = await client.call_connection(
            target.name,
            row.input,
            method=method,
            path=path,
            headers=headers,
            deadline=None if call.timeout is None else time.monotonic() + call.timeout,
            key=target.id,
            permit=permit,
        )
    else:
        result = await client.call(
            CallTarget(target.kind, target.name, target.id),
            call.action or "",
            row.input,
            headers=headers,
            timeout_seconds=call.timeout,
            trim=call.input is None,
            unknown_fields=call.unknown_fields,
            as_of=claim.execution.registry,
            permit=permit,
            behalf=Behalf(claim.execution.started_by, claim.execution.context, claim.execution.id),
        )
    return _success(result, result.sent)


def _success(result: CallResult | Executed, sent: object) -> CallSuccess:
    """Return the outcome of a call, with a warning when only a suspected instance answered."""
    warnings = [*result.warnings]
    if result.fail_open:
        sentence = (
            f"Nobody of '{result.service}' was known to be well; {result.instance}, which is"
            " suspected to be gone, was called and answered."
        )
        warnings.append({"code": "fail_open", "message": sentence})
    return CallSuccess(result.output, sent, result.service, result.instance, warnings)


def headers_of(claim: Claim) -> dict[str, str]:
    """Return the headers that every call of a step carries.

    `Idempotency-Key` is the same on every attempt at the same place of the same execution;
    `traceparent` is that of W3C Trace Context, with the execution as the trace.
    """
    run, row = claim.execution, claim.row
    correlation = claim.correlation_id or run.id
    return {
        "Idempotency-Key": hashlib.sha256(f"{run.id}:{row.path}".encode()).hexdigest()[:32],
        "X-Correlation-ID": header_text(correlation),
        "X-Request-ID": header_text(run.context.get("request_id") or correlation),
        "traceparent": f"00-{run.id.replace('-', '')}-{row.id.replace('-', '')[-16:]}-01",
    }
