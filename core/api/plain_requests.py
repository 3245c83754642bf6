"""Requests of programs in their common form, answered as Django would without asking it.

A function that answers them takes a `WebRequest`, reads it by `read_request`, and leaves to Django
whatever is unusual.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from django.db import InterfaceError, OperationalError
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.renderers import JSONRenderer

from core.api.caller import Caller
from core.api.errors import CONTENT_TYPE, problem_response
from core.api.exchange import Headers, WebAnswer, WebRequest
from core.api.known_keys import KnownKey, hold_to_rate, key_in, known_keys
from core.api.plain_reading import MOST_BYTES
from core.json import strict
from core.media_types import is_json
from core.request_rates.counter import RATE_DECISION

# Whoever sends one of these may want something that is for Django to know.
_UNUSUAL = frozenset({"cookie", "content-encoding", "expect"})
_JSON = JSONRenderer()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """A write of a program that may do what it asks for; `prefix` is of URLs in answers."""

    web: WebRequest
    caller: Caller
    body: dict[str, Any]
    prefix: str

    def render(self, status: int, data: Any, headers: Headers = ()) -> WebAnswer:
        """Return an answer."""
        return self.answer(status, _JSON.render(data), headers)

    def render_error(self, error: Exception, headers: Headers = ()) -> WebAnswer:
        """Return the answer that a view gives where it raises an error."""
        with structlog.contextvars.bound_contextvars(request_id=self.web.request_id):
            problem = problem_response(error, {})
        own = (pair for pair in problem.headers.items() if pair[0] != "Content-Type")
        headers = (*own, *headers)
        body = _JSON.render(problem.data)
        return self.answer(problem.status_code, body, headers, content_type=CONTENT_TYPE)

    def render_outcome(
        self,
        outcome: T | Exception,
        show: Callable[[T], WebAnswer | None],
        headers: Headers = (),
    ) -> WebAnswer | None:
        """Return what `show` makes of what was stored; None where nothing was, for the view.

        Where the database fails it may be stored, and what cannot be shown is: the answer is an
        error then, so that it is not stored again.
        """
        if isinstance(outcome, OperationalError | InterfaceError):
            return self.render_error(outcome, headers)
        if isinstance(outcome, Exception):
            return None
        try:
            return show(outcome)
        except Exception as error:
            return self.render_error(error, headers)

    def answer(
        self, status: int, body: bytes, headers: Headers, *, content_type: str = "application/json"
    ) -> WebAnswer:
        """Return an answer whose body is rendered already."""
        return WebAnswer(status, (("Content-Type", content_type), *headers, *self.counted), body)

    @property
    def counted(self) -> Headers:
        """The headers that tell what is left of the limit of its key."""
        decision = self.web.environ.get(RATE_DECISION)
        return tuple(decision.headers().items()) if decision is not None else ()


def read_request(
    request: WebRequest,
    scopes: str,
    *,
    below: tuple[str, ...] = ("",),
    method: str = "POST",
    asks: bool = True,
) -> PlainRequest | None:
    """Return a write whose caller has one of the `scopes`, which `|` joins; None if Django is to.

    Its path is the canonical one `below` one of these, and perhaps `/api` before that.
    It may ask the database about the key; without `asks`, the key has to be known. What is counted
    against a limit of the key is not counted again by Django.
    """
    headers = request.headers
    if request.method != method or request.query or not _UNUSUAL.isdisjoint(headers):
        return None
    body = _read_body(request)
    prefix = _prefix_of(request, below) if body is not None else None
    known = None
    if prefix is not None:
        known = _known_key(request) if asks else request.known
    if body is None or prefix is None or known is None:
        return None
    if not known.caller.may_any(scopes) or not hold_to_rate(request.environ, known):
        return None
    return PlainRequest(request, known.caller, body, prefix)


def _known_key(request: WebRequest) -> KnownKey | None:
    text = key_in(request.headers)
    if text is None:
        return None
    try:
        return known_keys().find(text, request.address)
    except AuthenticationFailed:
        return None


def _read_body(request: WebRequest) -> dict[str, Any] | None:
    if not request.body:
        return {}
    if len(request.body) > MOST_BYTES or not is_json(request.headers.get("content-type")):
        return None
    if request.body == b"{}" or not request.body.strip():
        return {}
    try:
        value = strict.parse(request.body)
    except strict.JSONRefused:
        return None
    return value if isinstance(value, dict) else None


def _prefix_of(request: WebRequest, below: tuple[str, ...]) -> str | None:
    """Return the prefix of URLs in answers; None for a path that the routes do not have."""
    scope = request.scope
    path = scope["path"].rstrip("/")
    if path.removeprefix("/api").removesuffix(request.path) not in below:
        return None
    above = "/api" if path.startswith("/api/") else ""
    return f"{scope['scheme']}://{request.headers['host']}{above}"
