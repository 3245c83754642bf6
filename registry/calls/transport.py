"""Sending a request and reading its answer: the only code that touches the wire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
from yarl import URL

from registry import strict_json
from registry.calls.classify import describe_answer, retry_after_seconds
from registry.calls.probe import Probe, probe
from registry.calls.request import PreparedRequest
from registry.calls.resolve import Candidate, ResolvedAction
from registry.exceptions import (
    CallError,
    ServiceConnectionError,
    ServiceNotReachedError,
    ServiceResponseError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)

CONNECT_SECONDS = 5.0
MAX_RESPONSE_BYTES = 10 * 1024 * 1024


class Transport:
    """Pooled connections of one event loop."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self,
        found: ResolvedAction,
        candidate: Candidate,
        request: PreparedRequest,
        headers: Mapping[str, str],
        seconds: float,
    ) -> tuple[int, Any]:
        """The status and the parsed answer of a 2xx, within so many seconds.

        Raises:
            CallError: no usable answer came; the subclass says why.
        """
        about = {"service": found.service, "instance": candidate.url, "action": found.action}
        where = f"'{found.service}' at {candidate.url}"
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

    async def probe(self, urls: Sequence[str]) -> list[Probe]:
        """Ask health URLs at once, in their order."""
        session = self._open_session()
        return list(await asyncio.gather(*(probe(session, url) for url in urls)))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


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
