"""The way to the hub: sends a request, retries it, waits.

Operations are written once, as coroutines that call `Hub`. A `BlockingHub` never suspends them, so
that `run_blocking` finishes such a coroutine in one go, without an event loop.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2

from service_integration_client import exceptions as errors
from service_integration_client.answers import content_of
from service_integration_client.configuration import Configuration
from service_integration_client.request_ids import request_id_to_send
from service_integration_client.requests import Request
from service_integration_client.retries import RetryPolicy

T = TypeVar("T")

Transport = httpx2.BaseTransport | httpx2.AsyncBaseTransport
Sleep = Callable[[float], Awaitable[None] | None]
WAIT_MARGIN_SECONDS = 10.0


@dataclass(frozen=True)
class Edge:
    """What tests replace: the network, waiting, and time."""

    transport: Transport | None = None
    sleep: Sleep | None = None
    clock: Callable[[], float] = time.monotonic


class Hub(ABC):
    """Sends requests; subclasses differ in how they wait."""

    def __init__(
        self, configuration: Configuration, *, edge: Edge, policy: RetryPolicy | None = None
    ) -> None:
        self._configuration = configuration
        self._edge = edge
        self._policy = policy
        self._headers = _headers(configuration)

    def now(self) -> float:
        return self._edge.clock()

    async def call(self, request: Request) -> Any:
        """The answer's content, after as many attempts as the request's policy allows.

        A repeated DELETE that finds nothing has done its work the time before.
        Raises: MaxRetriesExceededError, or what `answers.error_for` makes of the answer.
        """
        policy = self._policy or request.policy
        headers = self._headers_of(request)
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._attempt(request, headers)
            except errors.ResourceNotFoundError:
                if request.method == "DELETE" and attempt > 1:
                    return None
                raise
            except errors.ServiceUnavailableError as error:
                delay = policy.delay(attempt, retry_after=error.retry_after)
                if delay is None and attempt == 1:
                    raise
                if delay is None:
                    raise _exhausted(error, attempts=attempt) from error
            await self.sleep(delay)

    async def _attempt(self, request: Request, headers: dict[str, str]) -> Any:
        try:
            response = await self._send(self._arguments(request, headers))
        except httpx2.ConnectTimeout as error:
            raise _unreachable(self._configuration, error) from error
        except httpx2.TimeoutException as error:
            sentence = f"No answer to {request.method} {request.path} within the timeout."
            raise errors.RequestTimeoutError(sentence) from error
        except httpx2.TransportError as error:
            raise _unreachable(self._configuration, error) from error
        return content_of(
            request, status=response.status_code, headers=response.headers, body=response.content
        )

    def _headers_of(self, request: Request) -> dict[str, str]:
        headers = {**self._headers, "X-Request-ID": request_id_to_send()}
        if request.idempotency_key:
            headers["Idempotency-Key"] = request.idempotency_key
        return headers

    def _arguments(self, request: Request, headers: dict[str, str]) -> dict[str, Any]:
        timeout = self._configuration.timeout
        if request.wait_seconds:
            timeout = max(timeout, request.wait_seconds + WAIT_MARGIN_SECONDS)
        return {
            "method": request.method,
            "url": self._configuration.base_url + request.path,
            "params": request.query or None,
            "json": request.body,
            "headers": headers,
            "timeout": timeout,
        }

    def _client_arguments(self) -> dict[str, Any]:
        """Proxies of the environment are not used: the hub is a neighbour. TLS is verified."""
        uses_tls = self._configuration.base_url.startswith("https:")
        verify = httpx2.create_ssl_context() if uses_tls and not self._edge.transport else False
        return {"transport": self._edge.transport, "verify": verify, "trust_env": False}

    @abstractmethod
    async def _send(self, arguments: dict[str, Any]) -> httpx2.Response: ...

    @abstractmethod
    async def sleep(self, seconds: float) -> None: ...


class BlockingHub(Hub):
    """Blocks the thread; its coroutines never suspend. Threads may share it."""

    def __init__(
        self, configuration: Configuration, *, edge: Edge, policy: RetryPolicy | None = None
    ) -> None:
        super().__init__(configuration, edge=edge, policy=policy)
        self._client: httpx2.Client | None = None
        self._opening = threading.Lock()

    async def _send(self, arguments: dict[str, Any]) -> httpx2.Response:
        if self._client is None:
            with self._opening:
                self._client = self._client or httpx2.Client(**self._client_arguments())
        return self._client.request(**arguments)

    async def sleep(self, seconds: float) -> None:
        (self._edge.sleep or time.sleep)(seconds)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


class AwaitingHub(Hub):
    """Awaits. Each event loop has its own connections, so that `asyncio.run` may come twice."""

    def __init__(
        self, configuration: Configuration, *, edge: Edge, policy: RetryPolicy | None = None
    ) -> None:
        super().__init__(configuration, edge=edge, policy=policy)
        self._clients: dict[asyncio.AbstractEventLoop, httpx2.AsyncClient] = {}

    async def _send(self, arguments: dict[str, Any]) -> httpx2.Response:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            self._forget_closed_loops()
            client = self._clients[loop] = httpx2.AsyncClient(**self._client_arguments())
        return await client.request(**arguments)

    def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in self._clients if loop.is_closed()]:
            del self._clients[loop]

    async def sleep(self, seconds: float) -> None:
        slept = (self._edge.sleep or asyncio.sleep)(seconds)
        if inspect.isawaitable(slept):
            await slept

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()


def run_blocking(work: Coroutine[Any, Any, T]) -> T:
    """Finish a coroutine that never suspends, as those of a `BlockingHub` do."""
    try:
        work.send(None)
    except StopIteration as finished:
        result: T = finished.value
        return result
    work.close()
    raise RuntimeError("A blocking operation tried to wait on an event loop.")


def _headers(configuration: Configuration) -> dict[str, str]:
    headers = {"Accept": "application/json", "User-Agent": "service-integration-client"}
    if configuration.api_key:
        headers["Authorization"] = f"Bearer {configuration.api_key}"
    return headers


def _unreachable(
    configuration: Configuration, error: httpx2.TransportError
) -> errors.ServiceUnavailableError:
    reason = str(error) or type(error).__name__
    sentence = f"The hub at {configuration.base_url} cannot be reached: {reason}."
    return errors.ServiceUnavailableError(sentence)


def _exhausted(
    error: errors.ServiceUnavailableError, *, attempts: int
) -> errors.MaxRetriesExceededError:
    return errors.MaxRetriesExceededError(
        f"Given up after {attempts} attempts: {error.message}",
        attempts=attempts,
        last_error=error,
        code=error.code,
        status_code=error.status_code,
        request_id=error.request_id,
    )
