"""Reads that are answered from a cache of answers, each as Django rendered it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import lru_cache
from operator import itemgetter
from urllib.parse import unquote_plus

from core.api.exchange import SUBJECTS_KEY, WebAnswer, WebRequest
from core.api.known_keys import KnownKey, KnownKeys
from core.request_rates.counter import RATE_DECISION, admit_key
from core.request_rates.sliding_window import RateDecision
from integration_site.front.django_pool import DjangoPool
from integration_site.front.response_cache import Make, ResponseCache

# Whoever sends one of these wants something that is not for everybody.
_UNUSUAL = frozenset({
    "cookie", "range", "if-match", "if-modified-since", "if-unmodified-since", "content-encoding",
    "expect", "pragma",
})  # fmt: skip
MOST_KEY_CHARS = 8_000


class CachedReads:
    """Answers reads of callers with a key from a cache.

    Callers who may do the same are answered the same. `Cache-Control: no-cache` and `Pragma` in a
    request ask anew. `unless` names query parameters that make a request something else than a
    read; `methods` are those that only read.
    """

    def __init__(
        self,
        cache: ResponseCache,
        keys: KnownKeys,
        django: DjangoPool,
        *,
        methods: tuple[str, ...] = ("GET",),
        unless: frozenset[str] = frozenset(),
    ) -> None:
        self._cache = cache
        self._keys = keys
        self._django = django
        self._methods = methods
        self._unless = unless

    async def answer(self, request: WebRequest) -> WebAnswer | None:
        if request.method not in self._methods or not _is_usual(request):
            return None
        names, query = _canonical(request.query)
        if not self._unless.isdisjoint(names):
            return None
        known = self._keys.recall(request.headers, request.address)
        if known is None:
            return None
        decision = admit_key(str(known.key.pk), known.key.requests_per_minute)
        if decision is not None:
            request.environ[RATE_DECISION] = decision
            if not decision.allowed:
                return None
        key = _key_of(request, query, known)
        answer, is_shared = await self._cache.answer(key, self._maker_of(request))
        if not is_shared:
            return None
        return _with_rate(answer, decision)

    def _maker_of(self, request: WebRequest) -> Make:
        async def make() -> tuple[WebAnswer, frozenset[str]]:
            subjects: set[str] = set()
            request.environ[SUBJECTS_KEY] = subjects
            answer = await self._django.answer(request, caller="reads")
            answer = replace(answer, headers=_for_everybody(answer), seconds=0.0)
            return answer, frozenset(subjects)

        return make


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


def _for_everybody(answer: WebAnswer) -> tuple[tuple[str, str], ...]:
    """Return the headers without those that are one request's."""
    return tuple(
        (name, value)
        for name, value in answer.headers
        if not name.lower().startswith("ratelimit-") and name.lower() != "x-request-id"
    )


def _with_rate(answer: WebAnswer, decision: RateDecision | None) -> WebAnswer:
    if decision is None:
        return answer
    return replace(answer, headers=(*answer.headers, *decision.headers().items()))
