"""One request to the hub, as the operations describe it: no I/O here."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from service_integration_client import retries
from service_integration_client.retries import BackoffPolicy

JsonObject = dict[str, Any]


class Removal(enum.Enum):
    """Stands for a field that a change takes away: it is sent as null.

    None does not serve: as in every other call, it stands for a field that is not given.
    """

    REMOVE = "REMOVE"


# Of any type, as it stands where a text, a number or an object would.
REMOVE: Any = Removal.REMOVE


@dataclass(frozen=True)
class Request:
    """A request to send, with how it is retried and what it is about when the answer is an error.

    `about` is the type of a resource and the id or name that was given for it. With a `deadline`
    on the hub's clock, no attempt but the first begins from then on.
    """

    method: str
    path: str
    policy: BackoffPolicy
    query: Mapping[str, Any] = field(default_factory=dict)
    body: JsonObject | None = field(default=None, repr=False)  # may hold secrets
    idempotency_key: str | None = None
    about: tuple[str | None, str | None] = (None, None)
    wait_seconds: float = 0.0
    deadline: float | None = None


def make_request(
    method: str, path: str, fields: Mapping[str, Any], *, is_question: bool = False
) -> Request:
    """Return a request with the fields as its query (GET, DELETE) or as its body.

    A field of None is not sent. A question changes nothing though it has a body: it is retried as
    a read. Raises: ValueError for a time without a time zone.
    """
    sent = {name: _sent(name, value) for name, value in fields.items() if value is not None}
    is_read = is_question or method == "GET"
    in_query = method in ("GET", "DELETE")
    return Request(
        method,
        path,
        retries.READ if is_read else retries.POLICIES[method],
        query=sent if in_query else {},
        body=None if in_query else sent,
        idempotency_key=None if is_read else uuid.uuid4().hex,
    )


def _sent(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{name!r} needs a time zone, such as datetime.now(timezone.utc).")
        return value.isoformat()
    return None if value is REMOVE else value


def with_removals(changes: Mapping[str, Any] | None) -> JsonObject:
    """Return changes that name just what is given: None takes a field away."""
    return {k: REMOVE if v is None else v for k, v in (changes or {}).items()}


def segment(value: object) -> str:
    """Return a value as one part of a path.

    Raises: ValueError for what would lead to another path: an empty text, "." and "..".
    """
    text = str(value)
    if text in ("", ".", ".."):
        raise ValueError(f"An id or a name cannot be {text!r}.")
    return quote(text, safe="")
