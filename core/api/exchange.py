"""Requests and answers as the front sees them, before and without Django."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.api.idempotency import canonical_path
from core.api.suspension import Suspension
from core.news import Concern

if TYPE_CHECKING:
    from core.api.known_keys import KnownKey

Headers = tuple[tuple[str, str], ...]
# Where a view says, in the WSGI environment, what its answer changes with.
CONCERN_KEY = "hub.concern"
# Where the front lets a view put a stream that it is to send, in the WSGI environment.
STREAM_KEY = "hub.stream"
_USABLE_ID = re.compile(r"[\x21-\x7e]{1,128}\Z")


@dataclass(slots=True)
class WebRequest:
    """A request whose headers are complete; `body` once it is, too.

    `path` is canonical (see `canonical_path`); header names are in lower case, and a header that
    was given twice is joined by a comma.
    """

    scope: dict[str, Any]
    path: str
    headers: dict[str, str]
    request_id: str
    body: bytes = b""
    # What Django finds in the WSGI environment beside the request itself.
    environ: dict[str, Any] = field(default_factory=dict)
    # Gives the block in which it waits: it is counted as one that waits, and ends with its caller.
    set_aside: Callable[[], AbstractContextManager[None]] = nullcontext
    # The key that it carries, as it was known when the request was complete.
    known: KnownKey | None = None
    # What was done for it already, and what it waits for before Django is asked.
    suspension: Suspension | None = None

    @classmethod
    def of(cls, scope: dict[str, Any]) -> WebRequest:
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            if "_" in name:
                continue  # In the WSGI environment it would pass for another one.
            if name in headers:
                value = f"{headers[name]}{'; ' if name == 'cookie' else ','}{value}"
            headers[name] = value
        return cls(
            scope,
            canonical_path(scope["path"]),
            headers,
            request_id_of(headers.get("x-request-id")),
        )

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def query(self) -> str:
        return self.scope["query_string"].decode("latin-1")

    @property
    def address(self) -> str:
        """Return the address that the connection is from."""
        client = self.scope.get("client")
        return client[0] if client else ""


@dataclass(slots=True, frozen=True)
class WebAnswer:
    """A whole answer; the front adds the id of the request."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    # Seconds, for the log; kept answers took none.
    seconds: float = field(default=0.0, compare=False)


@dataclass(slots=True, frozen=True)
class WebStream:
    """An answer whose end is not known; its caller counts as one who waits until `parts` end."""

    parts: AsyncGenerator[bytes]
    headers: Headers = ()


@dataclass(slots=True)
class StreamSlot:
    """A place for the stream that a view has begun; empty where it answers whole."""

    stream: Any = None


def concerns(request: Any, *subjects: str, fields: Iterable[str] = ()) -> None:
    """Say what alone an answer changes with, of the topic that its views tell of.

    That is these subjects, and these fields of anybody: what others are selected and ordered by.
    What does not say so is taken to change with everything.
    """
    note_concern(request.META, subjects, fields)


def note_concern(
    environ: dict[str, Any], subjects: Iterable[str], fields: Iterable[str] = ()
) -> None:
    """Add to what the answer to the request of this environment changes with."""
    noted: NotedConcern = environ.setdefault(CONCERN_KEY, NotedConcern())
    noted.subjects.update(subjects)
    noted.fields.update(fields)


@dataclass(slots=True)
class NotedConcern:
    """What was said until now of what an answer changes with."""

    subjects: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)

    def concern(self) -> Concern:
        return Concern(frozenset(self.subjects), frozenset(self.fields))


def request_id_of(given: str | None) -> str:
    """Return the id that a caller gave, or a new one where it gave none that can be used."""
    # It guards nothing; asking the system for random bytes was a sixth of the event loop's work.
    return given if given and _USABLE_ID.match(given) else f"{random.getrandbits(128):032x}"
