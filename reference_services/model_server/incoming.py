"""Who and what is let in: the key, the body, the model, and the fault that the request meets."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from reference_services.model_server.catalog import MODELS, LocalModel
from reference_services.model_server.errors import LocalProviderError, invalid
from reference_services.model_server.faults import MESSAGES, NO_FAULT, ProviderFault, parse_fault
from reference_services.model_server.state import RECEIVED, STATE, ParsedRequest, ReceivedRequest
from service_integration_client.strict_json import parse_json

JsonObject = dict[str, Any]
OPENAI, ANTHROPIC, OLLAMA = "openai", "anthropic", "ollama"
KEY_PREFIX = "sk-local-"
_LONGEST_WAIT_SECONDS = 600


def protocol_of(request: web.Request) -> str:
    """Return the protocol: by its path, or by the header that Anthropic's clients send."""
    if request.path.startswith("/ollama/"):
        return OLLAMA
    is_messages = request.path.startswith("/v1/messages")
    return ANTHROPIC if is_messages or "anthropic-version" in request.headers else OPENAI


def admit_key(request: web.Request) -> None:
    """Refuse a key that does not begin with `KEY_PREFIX`. Ollama asks for none."""
    protocol = protocol_of(request)
    if protocol == OLLAMA:
        return
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    key = request.headers.get("x-api-key", "") if protocol == ANTHROPIC else ""
    key = key or (token.strip() if scheme.lower() == "bearer" else "")
    if key.startswith(KEY_PREFIX):
        return
    if protocol == ANTHROPIC:
        raise LocalProviderError("key_refused", "invalid x-api-key")
    said = f"Incorrect API key provided: {key[:3]}***." if key else "You didn't provide an API key."
    raise LocalProviderError("key_refused", f"{said} Keys begin with {KEY_PREFIX}")


async def read_json(request: web.Request, *, may_be_empty: bool = False) -> JsonObject:
    """Return the body, a JSON object. Raises: LocalProviderError."""
    raw = await request.read()
    if may_be_empty and not raw.strip():
        return {}
    try:
        body = parse_json(raw, unique_keys=True)
    except ValueError as error:
        raise invalid(f"We could not parse the JSON body of your request: {error}") from error
    if not isinstance(body, dict):
        raise invalid("The body of your request must be a JSON object.")
    return body


async def read_form(request: web.Request) -> JsonObject:
    """Return the fields of a form, files as their bytes. Raises: LocalProviderError."""
    if not request.content_type.startswith(("multipart/", "application/x-www-form-urlencoded")):
        raise invalid("Send the file as multipart/form-data.", "file")
    try:
        form = await request.post()
    except ValueError as error:
        raise invalid("The form could not be read.") from error
    return {
        name: value.file.read() if isinstance(value, web.FileField) else value
        for name, value in form.items()
    }


def known_model(name: str) -> LocalModel:
    """Return the model of a name, without the fault or the tag after its colon."""
    model = MODELS.get(name.partition(":")[0])
    if model is None:
        raise LocalProviderError(
            "unknown_model",
            f"The model `{name}` does not exist or you do not have access to it.",
            "model",
        )
    return model


async def admit(
    request: web.Request, body: JsonObject, *, kinds: tuple[str, ...]
) -> tuple[ParsedRequest, LocalModel]:
    """Return the request with its model, after its fault. Raises: LocalProviderError."""
    state = request.app[STATE]
    received = ReceivedRequest(protocol_of(request), request.path)
    if state.keeps_bodies:
        received.body, received.headers = body, dict(request.headers)
    state.received.append(received)
    request[RECEIVED] = received
    admit_key(request)
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise invalid("you must provide a model parameter", "model")
    received.model = name
    model = known_model(name)
    if model.kind not in kinds:
        raise invalid(f"The model `{name}` cannot be used at {request.path}.", "model")
    fault = _fault(request, name)
    received.fault = fault.kind
    await _meet(fault)
    await state.gate.wait()
    return ParsedRequest(body, name, fault, received), model


def _fault(request: web.Request, name: str) -> ProviderFault:
    asked = request.headers.get("X-Fault", "")
    base, _, tag = name.partition(":")
    if tag and tag != "latest":
        asked = asked or tag
    if asked:
        return parse_fault(asked)
    return request.app[STATE].faults.take(base) if base else NO_FAULT


async def _meet(fault: ProviderFault) -> None:
    if fault.latency_ms:
        await asyncio.sleep(fault.latency_ms / 1000)
    if fault.kind == "timeout":
        await asyncio.sleep(_LONGEST_WAIT_SECONDS)
    if fault.kind in MESSAGES:
        raise fault.error()
