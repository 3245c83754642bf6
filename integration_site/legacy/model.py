"""What a translation works on: a request in the old shape, and what is known of its answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

Json = dict[str, Any]
# A query as it was sent: each name with all of its values.
Query = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class NamedService:
    """A service that a body refers to, and the names of its actions."""

    name: str
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OldRequest:
    """A request in the old shape, while it is translated: what it says is changed step by step.

    `path` is canonical: without `/api`, and `/services` for `/registry/services`. `template` is how
    its route writes it, and `subject` what stands there for the first name in braces. `services`
    are those that the body refers to, by how it does; that of an integration so far is under "".
    `execution` is the id of the one that is meant, `stopped` what the steps at which it stopped are
    called, and `stored` the definition that a workflow has.
    """

    method: str
    path: str
    query: Query = field(default_factory=dict)
    body: Json = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    template: str = ""
    subject: str = ""
    services: Mapping[str, NamedService] = field(default_factory=dict)
    execution: str = ""
    stopped: frozenset[str] = frozenset()
    stored: Mapping[str, Any] = field(default_factory=dict)

    def with_body(self, body: Json) -> OldRequest:
        return replace(self, body=body)

    def with_query(self, **values: str) -> OldRequest:
        return replace(self, query={**self.query, **{k: (v,) for k, v in values.items()}})


@dataclass(frozen=True, slots=True)
class KnownAs:
    """The service and the instance that a request is about, and the name it calls them by."""

    reference: str
    service_id: str
    service_name: str
    instance_id: str
    owner: str = ""
    # Whether others remain, or something uses the service, if this instance goes.
    is_kept: bool = True


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the translation of an answer may go by.

    `aliases` are the ids that instances of the answer gave themselves, `known` whom the path names,
    `fleet` all instances where they were asked for.
    """

    request: OldRequest
    status: int = 200
    known: KnownAs | None = None
    aliases: Mapping[UUID, str] = field(default_factory=dict)
    fleet: tuple[Any, ...] = ()


# A step inside a branch or an iteration is known by its path, such as `each/17/call`.
_SEGMENTS = {"step": ".+"}
# A request in the old shape -> one that the API takes.
ToPresent = Callable[[OldRequest, KnownAs | None], OldRequest]
# What the API answered -> what an earlier client reads.
ToOld = Callable[[Any, Exchange], Any]


def as_it_is(request: OldRequest, known: KnownAs | None) -> OldRequest:
    return request


def always(request: OldRequest) -> bool:
    return True


def the_same(answer: Any, exchange: Exchange) -> Any:
    return answer


@dataclass(frozen=True, slots=True)
class LegacyRoute:
    """A route of the earlier system.

    `{service}` in its path is found among services and instances, by id, name or alias. With
    `all_pages`, an answer has the items of all pages; `with_fleet`, its translation is given all
    instances. What `is_old` does not hold of is none of its requests, but one of today.
    """

    method: str
    path: str
    to_present: ToPresent = as_it_is
    to_old: ToOld = the_same
    all_pages: bool = False
    with_fleet: bool = False
    status: int = 0  # of a good answer, where that was another one
    is_old: Callable[[OldRequest], bool] = always

    @property
    def title(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def pattern(self) -> re.Pattern[str]:
        parts = re.split(r"\{(\w+)\}", self.path)
        names = (f"(?P<{name}>{_SEGMENTS.get(name, '[^/]+')})" for name in parts[1::2])
        texts = [re.escape(text) for text in parts[::2]]
        return re.compile("".join(t + n for t, n in zip(texts, [*names, ""], strict=True)) + r"\Z")
