"""Sends a request and reads its answer: the only code that touches the network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict
from yarl import URL

from core.cache import BoundedCache
from core.failpoints import failpoint
from core.json import strict
from core.media_types import is_json
from registry.calls.body_reader import ACCEPTED, TooLarge, WrongEncoding, read_answer
from registry.calls.connection_errors import describe_connection_error
from registry.calls.error_responses import (
    describe_error_response,
    document_of,
    retry_after_seconds,
)
from registry.calls.event_stream import TakeEvent, is_stream, read_events
from registry.calls.health_probe import Probe, probe
from registry.calls.probes import HttpRequest, Reading, ask
from registry.calls.redaction import Mask
from registry.calls.request import OutboundRequest
from registry.calls.targets.resolver import CONNECT_SECONDS, Endpoint, HttpOptions, ResolvedAction
from registry.exceptions import (
    AddressRefusedError,
    CallError,
    ServiceConnectionError,
    ServiceNotReachedError,
    ServiceResponseError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)
from registry.network.address_policy import AddressPolicy
from registry.network.dialer import get_policy, make_connector, refusal_in, refusal_of

MAX_RESPONSE_BYTES = 10 * 1024 * 1024
# An answer that takes more than some milliseconds to read.
LARGE_BYTES = 32 * 1024
# URLs that passed by their look; where they lead is judged whenever they are dialled.
MOST_PASSED = 1000


class Transport:
    """Pooled connections of one event loop, to where the address policy lets them go."""

    def __init__(
        self, *, policy: AddressPolicy | None = None, resolver: AbstractResolver | None = None
    ) -> None:
        self._policy = policy or get_policy()
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None
        self._passed: BoundedCache[str, URL] = BoundedCache(MOST_PASSED)

    async def send(
        self,
        action: ResolvedAction,
        endpoint: Endpoint,
        request: OutboundRequest,
        seconds: float,
        take: TakeEvent | None = None,
    ) -> tuple[int, Any]:
        """Return the status and the parsed answer of a 2xx, within so many seconds.

        With `take`, an answer that is a stream of events is given to it, and returned as empty.

        Raises:
            CallError: no usable answer came; the subclass says why.
        """
        details = {"service": action.service, "instance": endpoint.url, "action": action.action}
        recipient, http = f"'{action.service}' at {endpoint.url}", action.http
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(request, details, http, take)
        except aiohttp.ConnectionTimeoutError:
            connect = min(http.connect_seconds, seconds)
            sentence = f"No connection to {recipient} within {connect:.3g} s."
            raise ServiceNotReachedError(sentence, **details) from None
        except TimeoutError:
            read = min(http.read_seconds or seconds, seconds)
            sentence = f"No answer from {recipient} within {read:.3g} s."
            raise ServiceTimeoutError(sentence, **details) from None
        except aiohttp.ClientConnectorError as error:
            if refusal := refusal_in(error):
                raise AddressRefusedError(f"No call to {recipient}: {refusal}", **details) from None
            sentence = f"No connection to {recipient}: {describe_connection_error(error)}."
            raise ServiceNotReachedError(sentence, **details) from None
        except (aiohttp.ClientConnectionError, ConnectionError) as error:
            text = str(error)[:300] or type(error).__name__
            raise ServiceConnectionError(
                f"The connection to {recipient} broke: {text}.", **details
            ) from None
        except (aiohttp.ClientError, ValueError) as error:
            sentence = (
                f"The call to {recipient} failed: {str(error)[:300] or type(error).__name__}."
            )
            raise ServiceResponseError(sentence, **details) from None

    async def _exchange(
        self,
        request: OutboundRequest,
        details: Mapping[str, str],
        http: HttpOptions,
        take: TakeEvent | None,
    ) -> tuple[int, Any]:
        url = self._checked_url(request.url, details)
        headers = CIMultiDict({"Accept": http.accepts})
        headers.update(http.headers)
        headers.update(request.headers)
        if request.body is not None:
            headers["Content-Type"] = request.media_type
        session = self._open_session()
        async with session.request(
            request.method,
            url,
            data=request.body,
            headers=headers,
            allow_redirects=False,
            ssl=request.tls or http.tls or True,
            timeout=_timeouts(http.connect_seconds, http.read_seconds),
        ) as response:
            failpoint("C5")
            if take is not None and response.status == 200 and is_stream(response):
                await _pass_on(response, take, details, request.mask)
                return response.status, {}
            body = await _read(response, details)
            parse = partial(_parse, response, body, details, request.mask, http)
            # The loop that makes all calls of the process goes on meanwhile.
            is_large = len(body) > LARGE_BYTES
            return response.status, await asyncio.to_thread(parse) if is_large else parse()

    async def post_form(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str], seconds: float
    ) -> tuple[int, bytes]:
        """POST a form and return status and body, whatever the status, within so many seconds.

        Raises:
            ServiceUnavailableError: no connection, or no answer in time.
            ServiceResponseError: the answer is too large, or none of HTTP.
        """
        details = {"service": url}
        try:
            async with asyncio.timeout(seconds):
                async with self._open_session().post(
                    self._checked_url(url, details),
                    data=dict(form),
                    headers=headers,
                    allow_redirects=False,
                ) as response:
                    return response.status, await _read(response, details)
        except TimeoutError:
            raise ServiceUnavailableError(f"no answer from {url} within {seconds:g} s.") from None
        except (aiohttp.ClientConnectionError, OSError) as error:
            text = str(error)[:300] or type(error).__name__
            raise ServiceUnavailableError(f"no connection to {url}: {text}.") from None
        except (aiohttp.ClientError, ValueError) as error:
            text = str(error)[:300] or type(error).__name__
            raise ServiceResponseError(f"the call to {url} failed: {text}.") from None

    async def fetch(self, url: str, seconds: float, most_bytes: int) -> bytes:
        """GET what is at a URL, with no credential and no redirect, within so many seconds.

        Raises:
            CallError: it is not there, too large, or the address policy does not let it be called.
        """
        details = {"service": url, "instance": url, "action": "GET"}
        try:
            async with asyncio.timeout(seconds):
                async with self._open_session().get(
                    self._checked_url(url, details), allow_redirects=False
                ) as response:
                    if response.status != 200:
                        sentence = f"{url} answered {response.status}."
                        raise ServiceResponseError(sentence, **details)
                    return await read_answer(response, most_bytes)
        except TooLarge:
            sentence = f"What is at {url} is larger than {most_bytes} bytes."
            raise ServiceResponseError(sentence, **details) from None
        except TimeoutError:
            sentence = f"No answer from {url} within {seconds:g} s."
            raise ServiceTimeoutError(sentence, **details) from None
        except aiohttp.ClientConnectorError as error:
            refusal = refusal_in(error) or f"{describe_connection_error(error)}."
            raise ServiceNotReachedError(f"No call to {url}: {refusal}", **details) from None
        except (aiohttp.ClientError, WrongEncoding, ValueError, OSError) as error:
            text = str(error)[:300] or type(error).__name__
            raise ServiceResponseError(f"The call to {url} failed: {text}.", **details) from None

    def _checked_url(self, text: str, details: Mapping[str, str]) -> URL:
        """Return a URL as it is dialled. Raises: AddressRefusedError, by the look of it."""
        if passed := self._passed.get(text):
            return passed
        url = URL(text, encoded=True)
        if not (url.raw_host or "").isascii():
            # In the form of IDNA, in which a full-width digit is a digit.
            url = url.with_host(str(url.host))
        if refusal := refusal_of(url, self._policy):
            raise AddressRefusedError(f"No call to '{details['service']}': {refusal}", **details)
        self._passed[text] = url
        return url

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=make_connector(
                    self._policy, resolver=self._resolver, limit=0, keepalive_timeout=30
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "service-integration", "Accept-Encoding": ACCEPTED},
                auto_decompress=False,
            )
        return self._session

    async def probe(self, urls: Sequence[str]) -> list[Probe]:
        """Ask health URLs at once, in their order."""
        session = self._open_session()
        return list(await asyncio.gather(*(probe(session, url, self._policy) for url in urls)))

    async def ask(self, request: HttpRequest, seconds: float) -> Reading:
        """Ask a URL once, whatever it answers. Raises: ProbeFailed."""
        return await ask(self._open_session(), request, self._policy, seconds)

    @property
    def policy(self) -> AddressPolicy:
        """The addresses that may be called."""
        return self._policy

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


@lru_cache(maxsize=256)
def _timeouts(connect: float, read: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=read)


async def _pass_on(
    response: aiohttp.ClientResponse, take: TakeEvent, details: Mapping[str, str], mask: Mask
) -> None:
    """Give each event to who takes them, without the secrets of the call."""
    try:
        async for event in read_events(response):
            await take(event._replace(data=mask.text(event.data)))
    except TooLarge:
        sentence = f"An event of '{details['service']}' is larger than 8 MiB."
        raise ServiceResponseError(sentence, **details) from None
    except WrongEncoding as error:
        sentence = f"The answer of '{details['service']}' cannot be read: {error}"
        raise ServiceResponseError(sentence, **details) from None


async def _read(response: aiohttp.ClientResponse, details: Mapping[str, str]) -> bytes:
    try:
        return await read_answer(response, MAX_RESPONSE_BYTES)
    except TooLarge:
        sentence = f"The answer of '{details['service']}' is larger than 10 MiB."
    except WrongEncoding as error:
        sentence = f"The answer of '{details['service']}' cannot be read: {error}"
    raise ServiceResponseError(sentence, **details)


def _parse(
    response: aiohttp.ClientResponse,
    body: bytes,
    details: Mapping[str, str],
    mask: Mask,
    http: HttpOptions,
) -> Any:
    """Return the answer of a 2xx without the secrets of the call; raise the error of any other."""
    status = response.status
    if not 200 <= status < 300:
        raise _refusal(response, body, details, mask, keeps=http.keeps_refusals)
    if not body.strip():
        return {}
    if http.takes_text and not is_json(response.headers.get("Content-Type")):
        return mask.value({"text": _printable(body)})
    try:
        output = strict.parse(body)
    except strict.JSONRefused as error:
        sentence = f"The answer of '{details['service']}' is not usable JSON: {error}"
        raise ServiceResponseError(sentence, upstream_status=status, **details) from None
    if not isinstance(output, dict | list):
        sentence = f"The answer of '{details['service']}' is not a JSON object or list."
        raise ServiceResponseError(sentence, upstream_status=status, **details)
    return mask.value(output)


def _printable(body: bytes) -> str:
    """Return a body as a text that every database takes."""
    return body.decode("utf-8", "replace").replace("\x00", "\ufffd")


def _refusal(
    response: aiohttp.ClientResponse,
    body: bytes,
    details: Mapping[str, str],
    mask: Mask,
    *,
    keeps: bool,
) -> CallError:
    status, retry_after = response.status, response.headers.get("Retry-After")
    kind = ServiceUnavailableError if status in (502, 503) else ServiceResponseError
    detail = describe_error_response(body, mask.text)
    return kind(
        f"'{details['service']}' answered {status} to '{details['action']}'{detail}",
        upstream_status=status,
        retry_after=retry_after_seconds(retry_after, now=time.time()),
        **({"answer": document_of(body)} if keeps else {}),
        **details,
    )
