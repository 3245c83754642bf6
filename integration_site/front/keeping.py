"""Reads that are answered from a cache of answers, each as Django rendered it."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from operator import itemgetter
from urllib.parse import unquote_plus

from core.api.exchange import CONCERN_KEY, NotedConcern, WebAnswer, WebRequest
from core.api.known_keys import KnownKey, KnownKeys, hold_to_rate
from core.request_rates.counter import RATE_DECISION
from core.request_rates.sliding_window import RateDecision
from integration_site.front.application import Shortcut
from integration_site.front.django_pool import DjangoPool
from integration_site.front.response_cache import Made, ResponseCache

# Whoever sends one of these wants something that is not for everybody.
_UNUSUAL = frozenset({
    "cookie", "range", "if-match", "if-modified-since", "if-unmodified-since", "content-encoding",
    "expect", "pragma",
})  # fmt: skip
MOST_KEY_CHARS = 8_000
KEPT_STATUSES = (200, 304)


@dataclass(frozen=True, slots=True)
class AdmittedRead:
    """A read of a known key: by what its answer is kept, and what is left of the limit."""

    known: KnownKey
    key: Hashable
    decision: RateDecision | None


@dataclass(frozen=True, slots=True)
class Reads:
    """Requests that only read, by these methods.

    `unless` names query parameters that make a request something else than a read.
    """

    keys: KnownKeys
    methods: tuple[str, ...] = ("GET",)
    unless: frozenset[str] = frozenset()

    async def learn_key(self, request: WebRequest, *, anew: bool = False) -> None:
        """Have the key of a request looked up, if it is not known; one look serves all its callers.

        For want of it Django would be asked, which costs a run for each of them. With `anew`, the
        request has waited since its key was known.
        """
        if request.known is not None and not anew:
            return
        looking = self.keys.look_up_soon(request.headers)
        if looking is not None:
            await asyncio.shield(asyncio.wrap_future(looking))
        request.known = self.keys.recall(request.headers, request.address)

    def admit(self, request: WebRequest, query: str | None = None) -> AdmittedRead | None:
        """Count a read against the limit of its key; None where Django is to answer.

        Its key has to be learnt before. A `query` is what the answer is to in place of the one that
        was sent.
        """
        if request.method not in self.methods or not _is_usual(request):
            return None
        names, query = _canonical(request.query if query is None else query)
        if not self.unless.isdisjoint(names):
            return None
        known = request.known
        if known is None:
            return None
        if not hold_to_rate(request.environ, known):
            return None
        decision = request.environ.get(RATE_DECISION)
        return AdmittedRead(known, _key_of(request, query, known), decision)

    async def still_admits(self, request: WebRequest, read: AdmittedRead) -> bool:
        """Return whether the caller may still do what it might when its read was admitted.

        While it waited, its key may have ended or changed. False also where that is not known.
        """
        await self.learn_key(request, anew=True)
        known = request.known
        return known is not None and known.caller.scopes == read.known.caller.scopes


class CachedReads:
    """Answers reads of callers with a key from a cache.

    Callers who may do the same are answered the same. `Cache-Control: no-cache` and `Pragma` in a
    request ask anew. What is not kept is asked of `gathered`, if given, and otherwise of Django.
    """

    def __init__(
        self,
        cache: ResponseCache[WebAnswer],
        django: DjangoPool,
        reads: Reads,
        *,
        gathered: Shortcut | None = None,
    ) -> None:
        self._cache = cache
        self._django = django
        self._reads = reads
        self._gathered = gathered

    async def answer(self, request: WebRequest) -> WebAnswer | None:
        await self._reads.learn_key(request)
        read = self._reads.admit(request)
        return None if read is None else await self.read(request, read)

    async def read(self, request: WebRequest, read: AdmittedRead) -> WebAnswer | None:
        """Answer a read that was admitted."""
        answer = await self.read_for_all(request, read)
        return with_rate(answer, read.decision) if answer is not None else None

    async def read_for_all(self, request: WebRequest, read: AdmittedRead) -> WebAnswer | None:
        """Return the answer to all reads that are alike, without what is left of a limit."""
        return await self._cache.get(read.key, partial(self._make, request))

    async def _make(self, request: WebRequest) -> Made[WebAnswer]:
        noted = request.environ[CONCERN_KEY] = NotedConcern()
        answer = await self._gathered.answer(request) if self._gathered else None
        if answer is None:
            answer = await self._django.answer(request, caller="reads")
        answer = for_everybody(answer)
        is_kept = answer.status in KEPT_STATUSES
        return Made(answer, len(answer.body), noted.concern(), is_kept)


def _is_usual(request: WebRequest) -> bool:
    headers = request.headers
    if not _UNUSUAL.isdisjoint(headers) or "no-" in headers.get("cache-control", ""):
        return False
    return len(request.body) < MOST_KEY_CHARS and (request.method == "POST" or not request.body)


@lru_cache(4096)
def _canonical(query: str) -> tuple[frozenset[str], str]:
    """Return the names in a query, and the query in the one order that all orders of names have."""
    parts = query.split("&") if query else []
    pairs = [(unquote_plus(part.partition("=")[0]), part) for part in parts]
    pairs.sort(key=itemgetter(0))
    return frozenset(name for name, _ in pairs), "&".join(part for _, part in pairs)


def _key_of(request: WebRequest, query: str, known: KnownKey) -> Hashable:
    """Return all that an answer depends on; links in it are to the path and host asked for."""
    headers, scope = request.headers, request.scope
    return (
        request.method,
        scope["raw_path"],
        query,
        headers.get("host", ""),
        scope.get("scheme", "http"),
        headers.get("if-none-match", ""),
        headers.get("content-type", "") if request.body else "",
        request.body,
        known.caller.scopes,
    )


def for_everybody(answer: WebAnswer) -> WebAnswer:
    """Return an answer without the headers that are one request's."""
    headers = tuple(
        (name, value)
        for name, value in answer.headers
        if not name.lower().startswith("ratelimit-") and name.lower() != "x-request-id"
    )
    return replace(answer, headers=headers, seconds=0.0)


def with_rate(answer: WebAnswer, decision: RateDecision | None) -> WebAnswer:
    """Return an answer that says what is left of a limit."""
    if decision is None:
        return answer
    return replace(answer, headers=(*answer.headers, *decision.headers().items()))
