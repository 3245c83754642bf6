"""The one way out: every call to a service goes through `ServiceClient`.

A call is: resolve, policy, breaker, credential, send, classify, record. Resolving and sending are
here; the address policy belongs between `choose` and `_send`, the breaker around `_send`, and the
credential into the headers.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import aiohttp
from django.conf import settings
from django.db import connections
from yarl import URL

from registry import strict_json
from registry.calls.classify import describe_answer, retry_after_seconds
from registry.calls.loop import LoopThread
from registry.calls.probe import Probe, probe
from registry.calls.request import PreparedRequest, check_input, prepare, trim_to_schema
from registry.calls.resolve import Candidate, ResolvedAction, Target, resolve
from registry.exceptions import (
    CallError,
    ServiceConnectionError,
    ServiceNotReachedError,
    ServiceResponseError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)

CACHE_SECONDS = 2.0
CONNECT_SECONDS = 5.0
RESOLVE_SECONDS = 10.0
MOST_CACHED = 5000
# How long an instance that could not be reached is asked last, and how many a call tries.
SUSPECT_SECONDS = 10.0
MOST_INSTANCES = 3
MAX_RESPONSE_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a service answered, and who it was."""

    output: Any
    sent: Mapping[str, Any]
    service: str
    instance: str
    status_code: int


@dataclass(frozen=True, slots=True)
class Resolved:
    """A cached resolution, or one on its way."""

    until: float
    answer: asyncio.Future[ResolvedAction]


class ServiceClient:
    """Calls actions of services from one event loop, with pooled connections.

    `clock` (monotonic seconds) and `resolver` are replaceable for tests.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        resolver: Callable[[Target, str], ResolvedAction] = resolve,
    ) -> None:
        self._clock = clock
        self._resolver = resolver
        self._cache: dict[tuple[Target, str], Resolved] = {}
        self._suspects: dict[str, float] = {}
        self._session: aiohttp.ClientSession | None = None
        self._threads = concurrent.futures.ThreadPoolExecutor(4, "resolve")

    async def call(
        self,
        target: Target,
        action: str,
        document: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
        trim: bool = False,
    ) -> CallResult:
        """Call one action and return its checked answer.

        `trim` cuts the document down to what a closed input schema names. The deadline covers
        connecting, sending, and everything up to the last byte of the answer.

        Raises:
            SchemaViolation: the document does not fit the action; nothing was sent.
            CallError: no usable answer came; the subclass says why.
        """
        found = await self.resolve(target, action)
        sent = trim_to_schema(found, document) if trim else dict(document)
        check_input(found, sent)
        seconds = timeout_seconds or found.timeout_seconds or settings.CALL_TIMEOUT_SECONDS
        return await self._call_one_of(found, sent, headers or {}, self._clock() + seconds)

    async def _call_one_of(
        self,
        found: ResolvedAction,
        sent: Mapping[str, Any],
        headers: Mapping[str, str],
        deadline: float,
    ) -> CallResult:
        """Call an instance; where none listens, nothing was sent, and the next may be asked."""
        suspected = {url for url, until in self._suspects.items() if until > self._clock()}
        candidates = found.in_order(suspected)
        for candidate in candidates[:MOST_INSTANCES]:
            request = prepare(found, url=candidate.url, document=sent)
            try:
                status, output = await self._send(found, candidate, request, headers, deadline)
            except ServiceNotReachedError as error:
                self._suspects[candidate.url] = self._clock() + SUSPECT_SECONDS
                refusal = error
                continue
            self._suspects.pop(candidate.url, None)
            self._check_output(found, candidate, output)
            return CallResult(output, sent, found.service, candidate.url, status)
        raise refusal

    async def resolve(self, target: Target, action: str) -> ResolvedAction:
        """Where the action is and what it takes; at most two seconds old.

        Callers that ask at once share one look-up.

        Raises:
            ServiceNotFoundError: it is not registered.
            ServiceTimeoutError: the registry does not answer.
        """
        key = (target, action)
        known = self._cache.get(key)
        if known is None or known.until < self._clock() or _failed(known.answer):
            if len(self._cache) >= MOST_CACHED:
                self._cache.clear()
            known = Resolved(self._clock() + CACHE_SECONDS, self._look_up(target, action))
            self._cache[key] = known
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                return await asyncio.shield(known.answer)
        except TimeoutError:
            sentence = (
                f"The registry did not say within {RESOLVE_SECONDS:g} s where {target.name} is."
            )
            raise ServiceTimeoutError(sentence, service=target.name) from None

    def _look_up(self, target: Target, action: str) -> asyncio.Future[ResolvedAction]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._threads, self._resolve_in_thread, target, action)

    def _resolve_in_thread(self, target: Target, action: str) -> ResolvedAction:
        try:
            return self._resolver(target, action)
        finally:
            connections.close_all()

    async def _send(
        self,
        found: ResolvedAction,
        candidate: Candidate,
        request: PreparedRequest,
        headers: Mapping[str, str],
        deadline: float,
    ) -> tuple[int, Any]:
        about = {"service": found.service, "instance": candidate.url, "action": found.action}
        where = f"'{found.service}' at {candidate.url}"
        seconds = max(deadline - self._clock(), 0.0)
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(request, headers, about)
        except aiohttp.ConnectionTimeoutError:
            sentence = f"No connection to {where} within {CONNECT_SECONDS:g} s."
            raise ServiceNotReachedError(sentence, **about) from None
        except TimeoutError:
            sentence = f"No answer from {where} within {seconds:.3g} s."
            raise ServiceTimeoutError(sentence, **about) from None
        except aiohttp.ClientConnectorError as error:
            sentence = f"No connection to {where}: {error.os_error.strerror or error.os_error}."
            raise ServiceNotReachedError(sentence, **about) from None
        except (aiohttp.ClientConnectionError, ConnectionError) as error:
            text = str(error)[:300] or type(error).__name__
            raise ServiceConnectionError(
                f"The connection to {where} broke: {text}.", **about
            ) from None
        except (aiohttp.ClientError, ValueError) as error:
            sentence = f"The call to {where} failed: {str(error)[:300] or type(error).__name__}."
            raise ServiceResponseError(sentence, **about) from None

    async def _exchange(
        self, request: PreparedRequest, headers: Mapping[str, str], about: Mapping[str, str]
    ) -> tuple[int, Any]:
        sent_headers = {"Accept": "application/json", **headers}
        if request.body is not None:
            sent_headers["Content-Type"] = "application/json"
        session = self._open_session()
        async with session.request(
            request.method,
            URL(request.url, encoded=True),
            data=request.body,
            headers=sent_headers,
            allow_redirects=False,
        ) as response:
            body = await _read(response, about)
            return response.status, _classify(response, body, about)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ttl_dns_cache=10),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "service-integration"},
            )
        return self._session

    @staticmethod
    def _check_output(found: ResolvedAction, candidate: Candidate, output: Any) -> None:
        problems = found.output_schema.problems(output)
        if problems:
            path, sentences = next(iter(problems.items()))
            raise ServiceResponseError(
                f"The answer of '{found.service}' does not fit the output schema of"
                f" '{found.action}': {path}: {sentences[0]}",
                errors=problems,
                service=found.service,
                instance=candidate.url,
                action=found.action,
            )

    async def probe(self, urls: Sequence[str]) -> list[Probe]:
        """Ask health URLs at once, in their order."""
        session = self._open_session()
        return list(await asyncio.gather(*(probe(session, url) for url in urls)))

    async def close(self) -> None:
        """Close the pooled connections."""
        if self._session is not None:
            await self._session.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _failed(answer: asyncio.Future[ResolvedAction]) -> bool:
    return answer.done() and (answer.cancelled() or answer.exception() is not None)


async def _read(response: aiohttp.ClientResponse, about: Mapping[str, str]) -> bytes:
    parts, size = [], 0
    async for chunk in response.content.iter_chunked(65536):
        size += len(chunk)
        if size > MAX_RESPONSE_BYTES:
            raise ServiceResponseError(
                f"The answer of '{about['service']}' is larger than 10 MiB.", **about
            )
        parts.append(chunk)
    return b"".join(parts)


def _classify(response: aiohttp.ClientResponse, body: bytes, about: Mapping[str, str]) -> Any:
    """The parsed answer of a 2xx; anything else becomes the error that it is."""
    status = response.status
    if not 200 <= status < 300:
        raise _refusal(status, body, about, response.headers.get("Retry-After"))
    if not body.strip():
        return {}
    try:
        output = strict_json.parse(body)
    except strict_json.JSONRefused as error:
        sentence = f"The answer of '{about['service']}' is not usable JSON: {error}"
        raise ServiceResponseError(sentence, upstream_status=status, **about) from None
    if not isinstance(output, dict | list):
        sentence = f"The answer of '{about['service']}' is not a JSON object or list."
        raise ServiceResponseError(sentence, upstream_status=status, **about)
    return output


def _refusal(
    status: int, body: bytes, about: Mapping[str, str], retry_after: str | None
) -> CallError:
    kind = ServiceUnavailableError if status in (502, 503) else ServiceResponseError
    return kind(
        f"'{about['service']}' answered {status} to '{about['action']}'{describe_answer(body)}",
        upstream_status=status,
        retry_after=retry_after_seconds(retry_after, now=time.time()),
        **about,
    )


_loop = LoopThread("service-calls")
_making = threading.Lock()


@lru_cache(maxsize=1)
def _make_client() -> ServiceClient:
    return ServiceClient()


def _shared_client() -> ServiceClient:
    """One client per process for code that is not asynchronous."""
    with _making:
        return _make_client()


def call_service(
    target: Target, action: str, document: Mapping[str, Any], **options: Any
) -> CallResult:
    """`ServiceClient.call`, waited for."""
    return _loop.run(_shared_client().call(target, action, document, **options))


def probe_urls(urls: Sequence[str]) -> list[Probe]:
    """`ServiceClient.probe`, waited for."""
    return _loop.run(_shared_client().probe(urls))
