"""The HTTP application that all services share: routes, checks, answers, health, faults."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from reference_services import outage as outages
from reference_services.faults import FaultSwitch
from reference_services.problems import (
    InvalidInputError,
    MalformedBodyError,
    ServiceError,
    UnprocessableError,
    problem_answer,
)
from reference_services.schemas import JsonObject, input_check
from reference_services.service import Action, Call, Service
from reference_services.store import ServiceStore
from service_integration_client.strict_json import parse_json

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 1024 * 1024
# Of one action; the others wait.
MOST_PREPARED_AT_ONCE = 2
READING_METHODS = frozenset({"GET", "HEAD", "DELETE"})
STORE: web.AppKey[ServiceStore] = web.AppKey("store", ServiceStore)
FAULTS: web.AppKey[FaultSwitch] = web.AppKey("faults", FaultSwitch)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


def utc_now() -> datetime:
    return datetime.now(UTC)


def build_app(
    service: Service,
    *,
    store: ServiceStore,
    folders: tuple[Path, ...] = (),
    clock: Callable[[], datetime] = utc_now,
    faults: FaultSwitch | None = None,
    outage: outages.Outage | None = None,
) -> web.Application:
    """Return the service's web application; `folders` are the documents it may read.

    With an `outage` it can be told to stop for a while.
    """
    app = web.Application(middlewares=[_problems], client_max_size=MAX_BODY_BYTES)
    app[STORE] = store
    app[FAULTS] = faults or FaultSwitch()
    names = tuple(action.name for action in service.actions)
    app.router.add_get("/health", _health_handler(service, store=store, clock=clock))
    app.router.add_get("/_fault", _read_fault)
    app.router.add_post("/_fault", _fault_handler(names))
    if outage is not None:
        app.router.add_post(outages.PATH, _outage_handler(outage))
    for action in service.actions:
        handler = _action_handler(action, folders=folders, clock=clock)
        app.router.add_route(action.method, action.path, handler)
    return app


def _action_handler(
    action: Action, *, folders: tuple[Path, ...], clock: Callable[[], datetime]
) -> Handler:
    check = input_check(action.input_schema)
    turn = asyncio.Semaphore(MOST_PREPARED_AT_ONCE)

    async def handle(request: web.Request) -> web.Response:
        await request.app[FAULTS].apply(action.name)
        value = await _read_input(request)
        errors = check(value)
        if errors:
            sentence = " ".join(sentences[0] for sentences in errors.values())
            raise InvalidInputError(sentence, errors=errors)
        call = Call(input=value, store=request.app[STORE], now=clock(), folders=folders)
        key = "" if action.method == "GET" else request.headers.get("Idempotency-Key", "")
        if action.prepare is not None and not _is_recorded(action, call, key=key):
            async with turn:
                call = replace(call, prepared=await action.prepare(call))
        return _json(_answer(action, call, key=key))

    return handle


def _is_recorded(action: Action, call: Call, *, key: str) -> bool:
    return bool(key) and call.store.recorded_answer(action=action.name, key=key) is not None


def _answer(action: Action, call: Call, *, key: str) -> Any:
    """Do the work once per idempotency key; what it changed and its answer are kept together."""
    with call.store.transaction():
        if not key:
            return action.handler(call)
        fingerprint = _fingerprint(call.input)
        recorded = call.store.recorded_answer(action=action.name, key=key)
        if recorded is None:
            answer = action.handler(call)
            call.store.record_answer(
                action=action.name, key=key, fingerprint=fingerprint, answer=answer
            )
            return answer
        if recorded[0] != fingerprint:
            raise UnprocessableError(
                "This Idempotency-Key came before with another input; send a new key.",
                code="idempotency_key_reused",
            )
        return recorded[1]


def _fingerprint(value: JsonObject) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


async def _read_input(request: web.Request) -> JsonObject:
    """Return the action's input: JSON body or query string, and the parts of the path over it."""
    if request.method in READING_METHODS:
        value: JsonObject = dict(request.query)
    else:
        value = await _read_body(request)
    return {**value, **request.match_info}


async def _read_body(request: web.Request) -> JsonObject:
    raw = await request.read()
    if not raw.strip():
        return {}
    try:
        value = parse_json(raw, unique_keys=True)
    except ValueError as error:
        raise MalformedBodyError(f"The body is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise MalformedBodyError("The body must be a JSON object.")
    return value


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.json_response(value, status=status)


def _health_handler(
    service: Service, *, store: ServiceStore, clock: Callable[[], datetime]
) -> Handler:
    async def health(request: web.Request) -> web.Response:
        database = store.is_healthy()
        body = {
            "status": "healthy" if database else "unhealthy",
            "service": service.name,
            "version": service.version,
            "database": database,
            "dependencies": True,
            "timestamp": clock().isoformat(),
        }
        return _json(body, status=200 if database else 503)

    return health


async def _read_fault(request: web.Request) -> web.Response:
    return _json(request.app[FAULTS].describe())


def _fault_handler(known_actions: tuple[str, ...]) -> Handler:
    async def set_fault(request: web.Request) -> web.Response:
        faults = request.app[FAULTS]
        faults.set(await _read_body(request), known_actions=known_actions)
        return _json(faults.describe())

    return set_fault


def _outage_handler(outage: outages.Outage) -> Handler:
    async def begin(request: web.Request) -> web.Response:
        return _json(outage.begin(await _read_body(request)))

    return begin


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Make every error a problem answer, and give every answer the request's id."""
    sent_id = request.headers.get("X-Request-ID", "")
    request_id = sent_id if _REQUEST_ID.fullmatch(sent_id) else uuid.uuid4().hex
    try:
        answer = await handler(request)
    except ServiceError as problem:
        answer = problem_answer(problem, request_id=request_id)
    except web.HTTPException as error:
        answer = problem_answer(_from_http(error, request), request_id=request_id)
    except Exception:
        logger.exception("unexpected error in %s %s", request.method, request.path)
        unexpected = ServiceError("The service met an unexpected error; its log says more.")
        answer = problem_answer(unexpected, request_id=request_id)
    answer.headers["X-Request-ID"] = request_id
    return answer


def _from_http(error: web.HTTPException, request: web.Request) -> ServiceError:
    if error.status == 404:
        return ServiceError(f"There is nothing at {request.path}.", status=404, code="not_found")
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        sentence = f"{request.path} takes {allowed}, not {request.method}."
        return ServiceError(sentence, status=405, code="method_not_allowed")
    if error.status == 413:
        sentence = f"The body is larger than {MAX_BODY_BYTES} bytes."
        return ServiceError(sentence, status=413, code="payload_too_large")
    return ServiceError(error.reason, status=error.status, code="http_error")
