"""The HTTP application: OpenAI's and Anthropic's protocols at /v1, Ollama's at /ollama/v1."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable

from aiohttp import web

from reference_services.model_server import endpoints
from reference_services.model_server.errors import (
    INVALID,
    LocalProviderError,
    anthropic_error,
    ollama_error,
    openai_error,
)
from reference_services.model_server.incoming import ANTHROPIC, OLLAMA, protocol_of, read_json
from reference_services.model_server.state import RECEIVED, REQUEST_ID, STATE, ModelServerState

logger = logging.getLogger(__name__)

LARGEST_BODY_BYTES = 25 * 1024 * 1024
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_model_app(*, token_ms: float = 0, keeps_bodies: bool = False) -> web.Application:
    """Return the application; `token_ms` is how long its streams take for a token."""
    app = web.Application(middlewares=[_in_protocol], client_max_size=LARGEST_BODY_BYTES)

    async def start(app: web.Application) -> None:
        app[STATE] = ModelServerState(token_ms=token_ms, keeps_bodies=keeps_bodies)

    app.on_startup.append(start)
    router = app.router
    for root in ("/v1", "/ollama/v1"):
        router.add_get(f"{root}/models", endpoints.list_models)
        router.add_get(f"{root}/models/{{name}}", endpoints.read_model)
        router.add_post(f"{root}/chat/completions", endpoints.chat_completions)
        router.add_post(f"{root}/completions", endpoints.completions)
        router.add_post(f"{root}/embeddings", endpoints.embeddings)
    router.add_post("/v1/images/generations", endpoints.images)
    router.add_get("/images/{name}.png", endpoints.read_picture)
    router.add_post("/v1/audio/transcriptions", endpoints.transcriptions)
    router.add_post("/v1/audio/translations", endpoints.translations)
    router.add_post("/v1/messages", endpoints.messages)
    router.add_post("/v1/messages/count_tokens", endpoints.count_tokens)
    router.add_get("/health", _health)
    router.add_get("/_fault", _read_fault)
    router.add_post("/_fault", _set_fault)
    router.add_get("/_requests", _requests)
    return app


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"status": "healthy", "service": "local-models"})


async def _read_fault(request: web.Request) -> web.Response:
    return web.json_response(request.app[STATE].faults.describe())


async def _set_fault(request: web.Request) -> web.Response:
    body = await read_json(request, may_be_empty=True)
    request.app[STATE].faults.set(body)
    return await _read_fault(request)


async def _requests(request: web.Request) -> web.Response:
    return web.json_response({"items": [one.summary() for one in request.app[STATE].received]})


@web.middleware
async def _in_protocol(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error in the protocol that was spoken, and give every answer an id."""
    request_id = f"req_{uuid.uuid4().hex}"
    request[REQUEST_ID] = request_id
    try:
        answer = await handler(request)
    except LocalProviderError as error:
        answer = _error(request, error)
    except web.HTTPException as error:
        answer = _error(request, _from_http(request, error))
    except (ConnectionResetError, asyncio.CancelledError):
        _note(request, "left", status=0)
        raise
    except Exception:
        logger.exception("unexpected error in %s %s", request.method, request.path)
        answer = _error(request, LocalProviderError("server_error", "The server had an error."))
    _note(request, "answered" if answer.status < 400 else "failed", status=answer.status)
    if not answer.prepared:
        name = "request-id" if protocol_of(request) == ANTHROPIC else "x-request-id"
        answer.headers[name] = request_id
    return answer


def _note(request: web.Request, outcome: str, *, status: int) -> None:
    """Note how a request ended, unless a fault has ended it."""
    received = request.get(RECEIVED)
    if received is not None and received.outcome == "open":
        received.outcome, received.status = outcome, status


def _from_http(request: web.Request, error: web.HTTPException) -> LocalProviderError:
    if error.status == 413:
        return LocalProviderError(
            "too_large", f"The body is larger than {LARGEST_BODY_BYTES} bytes."
        )
    if error.status == 404:
        return LocalProviderError("unknown_path", f"Invalid URL ({request.method} {request.path})")
    return LocalProviderError(INVALID, f"Not allowed: {request.method} {request.path}")


def _error(request: web.Request, error: LocalProviderError) -> web.Response:
    protocol = protocol_of(request)
    if protocol == ANTHROPIC:
        status, body = anthropic_error(error, request_id=request[REQUEST_ID])
    elif protocol == OLLAMA:
        status, body = ollama_error(error)
    else:
        status, body = openai_error(error)
    return web.json_response(body, status=status, headers=error.headers)
