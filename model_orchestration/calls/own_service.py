"""Answers the calls of the service that the hub itself is, within the process that makes them.

So a step of a workflow that asks a model crosses no network on its way to the hub. It spends what
who began the execution may spend.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from core.exceptions import IntegrationError
from core.models import ApiKey
from model_orchestration.acceptance import AcceptedRequest, Purpose, admit
from model_orchestration.adapters.base import ModelCall
from model_orchestration.calls.answering import Served, answer
from model_orchestration.calls.attempts import MALFORMED
from model_orchestration.catalog import current_catalog
from model_orchestration.exceptions import InvalidModelRequest, ModelError
from model_orchestration.limits import Spender
from model_orchestration.native_dialect import wrapped
from model_orchestration.service_actions import ServiceOffer, offer_of
from registry.calls.client import OutboundCall, ServiceClient
from registry.calls.own_services import serve_calls_of
from registry.exceptions import ServiceResponseError

# The service is known by its id: nobody who registers one chooses that.
SERVICE_ID = UUID("6d6f6465-6c73-4b0f-8a3e-687562000001")
_LONGEST_ID = 100


def serve_own_calls() -> None:
    """Have the calls of the hub's own service answered in this process."""
    serve_calls_of(str(SERVICE_ID), _serve)


def native_answer(served: Served) -> dict[str, Any]:
    """Return an answer with what it was, as the hub's own routes tell it."""
    return wrapped(
        served.body,
        request_id=served.accepted.request_id,
        model=served.target.model,
        provider=served.target.provider,
        reason=served.reason,
        latency_ms=served.latency_ms,
        cost=float(served.cost),
    )


async def _serve(client: ServiceClient, call: OutboundCall) -> tuple[int, Any]:
    """Answer a call as the route of its action would. Raises: ServiceResponseError."""
    try:
        offer = offer_of(call.action.action)
        accepted = await client.in_database(_admit, offer, call)
        served = await answer(client, accepted)
        return 200, native_answer(served) if offer.asks_for is None else offer.result(served.body)
    except IntegrationError as error:
        raise _as_response(error, call) from None


def _admit(offer: ServiceOffer, call: OutboundCall) -> AcceptedRequest:
    """Read and admit a call. Raises: ModelError."""
    try:
        asked, model_call = _read(offer, call)
    except MALFORMED as error:
        raise InvalidModelRequest(f"A part of it is of the wrong type ({error}).") from None
    return admit(model_call, asked, _purpose_of(call))


def _read(offer: ServiceOffer, call: OutboundCall) -> tuple[str, ModelCall]:
    return offer.read(call.document, current_catalog().choices)


def _purpose_of(call: OutboundCall) -> Purpose:
    """Return who asks, as the input says, or the context; and whose key began it.

    Without a task, it is the execution that asks.
    """
    behalf = call.behalf

    def told(name: str) -> str:
        value = call.document.get(name) or behalf.context.get(name) or ""
        return value.replace("\0", "")[:_LONGEST_ID] if isinstance(value, str) else ""

    key = ApiKey.objects.filter(name=behalf.name).values_list("pk", flat=True).first()
    spender = Spender(str(key or ""), behalf.name, told("project_id"), told("user_id"))
    return Purpose(spender, told("task_id") or behalf.execution, told("task_type")[:50])


def _as_response(error: IntegrationError, call: OutboundCall) -> ServiceResponseError:
    """Return the error as that of any service that answers with its status."""
    retry_after = error.retry_after if isinstance(error, ModelError) else None
    details: dict[str, Any] = {"upstream_code": error.code}
    if retry_after is not None:
        details["retry_after"] = retry_after
    return ServiceResponseError(
        f"'{call.action.service}' answered {error.status_code}: {error.message}",
        service=call.action.service,
        action=call.action.action,
        upstream_status=error.status_code,
        **details,
    )
