"""The id that follows one piece of work through every call, log and execution."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[str | None] = ContextVar("service_integration_request_id", default=None)
_ALLOWED = re.compile(r"[\x21-\x7e]{1,128}")


def get_request_id() -> str:
    """Return the request id of the current context; where there is none, one is made and kept."""
    current = _current.get()
    if current is None:
        current = new_request_id()
        _current.set(current)
    return current


@contextmanager
def request_id(value: str | None = None) -> Iterator[str]:
    """Send this id, or a new one, with every call inside.

    Raises: ValueError when the id has blanks, other than ASCII characters, or more than 128.
    """
    value = new_request_id() if value is None else value
    if not _ALLOWED.fullmatch(value):
        raise ValueError("A request id has 1 to 128 visible ASCII characters and no blanks.")
    token = _current.set(value)
    try:
        yield value
    finally:
        _current.reset(token)


def new_request_id() -> str:
    return uuid.uuid4().hex


def request_id_to_send() -> str:
    """Return the context's id, or one for this call alone."""
    return _current.get() or new_request_id()
