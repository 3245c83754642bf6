"""One request to the hub, as the operations describe it: no I/O here."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from service_integration_client import retries
from service_integration_client.retries import RetryPolicy

JsonObject = dict[str, Any]


class Removal(enum.Enum):
    """What is given for a field that a change takes away: it is sent as null.

    None does not serve: as in every other call, it stands for a field that is not given.
    """

    REMOVE = "REMOVE"


# Of any type, as it stands where a text, a number or an object would.
REMOVE: Any = Removal.REMOVE


@dataclass(frozen=True)
class Request:
    """What to send, how to retry it, and what it is about when the answer is an error.

    With a `deadline` on the hub's clock, no attempt but the first begins from then on.
    """

    method: str
    path: str
    policy: RetryPolicy
    query: Mapping[str, Any] = field(default_factory=dict)
    body: JsonObject | None = field(default=None, repr=False)  # may hold secrets
    idempotency_key: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    wait_seconds: float = 0.0
    deadline: float | None = None


def read(path: str, /, *, about: tuple[str, str] | None = None, **query: Any) -> Request:
    """GET; a query value of None is not sent."""
    return Request("GET", path, retries.READ, query=_given(query), **_about(about))


def ask(path: str, /, *, body: JsonObject, about: tuple[str, str] | None = None) -> Request:
    """A question that takes a body: it changes nothing, and is retried as a read."""
    return Request("POST", path, retries.READ, body=_given(body), **_about(about))


def create(path: str, /, *, body: JsonObject, about: tuple[str, str] | None = None) -> Request:
    return _write("POST", path, retries.CREATE, body=body, about=about)


def update(
    path: str, /, *, body: JsonObject, about: tuple[str, str] | None = None, method: str = "PATCH"
) -> Request:
    return _write(method, path, retries.UPDATE, body=body, about=about)


def delete(path: str, /, *, about: tuple[str, str], force: bool = False) -> Request:
    request = _write("DELETE", path, retries.DELETE, about=about)
    return replace(request, query={"force": "true"}) if force else request


def _write(
    method: str,
    path: str,
    policy: RetryPolicy,
    *,
    body: JsonObject | None = None,
    about: tuple[str, str] | None = None,
) -> Request:
    key = uuid.uuid4().hex
    given = None if body is None else _given(body)
    return Request(method, path, policy, body=given, idempotency_key=key, **_about(about))


def _about(about: tuple[str, str] | None) -> dict[str, Any]:
    if about is None:
        return {}
    return {"resource_type": about[0], "resource_id": str(about[1])}


def _given(values: Mapping[str, Any]) -> JsonObject:
    return {name: _sent(name, value) for name, value in values.items() if value is not None}


def _sent(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{name!r} needs a time zone, such as datetime.now(timezone.utc).")
        return value.isoformat()
    return None if value is REMOVE else value


def with_removals(changes: Mapping[str, Any] | None) -> JsonObject:
    """Changes that name just what is given: None takes a field away."""
    return {k: REMOVE if v is None else v for k, v in (changes or {}).items()}


def segment(value: object) -> str:
    """A value as one part of a path.

    Raises: ValueError for what would lead to another path: an empty text, "." and "..".
    """
    text = str(value)
    if text in ("", ".", ".."):
        raise ValueError(f"An id or a name cannot be {text!r}.")
    return quote(text, safe="")
