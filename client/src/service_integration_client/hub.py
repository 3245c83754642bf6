"""Sends a request to the hub, retries it, waits.

Operations are written once, as coroutines that call `Hub`. A `BlockingHub` never suspends them, so
that `run_blocking` finishes such a coroutine in one go, without an event loop.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from service_integration_client import exceptions as errors
from service_integration_client.breaker import CircuitBreaker
from service_integration_client.configuration import Configuration
from service_integration_client.http_library import http_library
from service_integration_client.request_ids import request_id_to_send
from service_integration_client.requests import Request
from service_integration_client.responses import content_of
from service_integration_client.retries import BackoffPolicy
from service_integration_client.strict_json import encode_json

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable
    from typing import Union

    import httpx2

    Transport = Union[httpx2.BaseTransport, httpx2.AsyncBaseTransport]
    Sleep = Callable[[float], Union[Awaitable[None], None]]

T = TypeVar("T")
WAIT_MARGIN_SECONDS = 10.0
# More calls than that at once wait for a connection, for as long as it takes.
MOST_CONNECTIONS = 100


@dataclass(frozen=True)
class HubOptions:
    """The configuration of a hub, and the means to reach it: tests replace them.

    Without a `policy`, that of each request says how often it is made again.
    """

    configuration: Configuration
    transport: Transport | None = None
    sleep: Sleep | None = None
    clock: Callable[[], float] = time.monotonic
    breaker: CircuitBreaker | None = None
    policy: BackoffPolicy | None = None


class Hub(ABC):
    """Sends requests; subclasses differ in how they wait."""

    def __init__(self, options: HubOptions) -> None:
        self._options = options
        self._configuration = options.configuration
        self._headers = _headers(options.configuration)

    def now(self) -> float:
        return self._options.clock()

    async def call(self, request: Request) -> Any:
        """Return the answer's content, after as many attempts as the request's policy allows.

        A repeated DELETE that finds nothing has done its work the time before.
        Raises: ValidationError for what is not JSON, CircuitOpenError, MaxRetriesExceededError, or
        what `responses.error_for` makes of the answer.
        """
        policy = self._options.policy or request.policy
        arguments = self._arguments(request)
        attempt, lost = 0, False
        while True:
            attempt += 1
            try:
                return await self._attempt(request, arguments)
            except errors.ResourceNotFoundError:
                if request.method == "DELETE" and attempt > 1:
                    return None
                raise
            except errors.CircuitOpenError as error:
                error.may_have_happened = lost
                raise
            except errors.ServiceUnavailableError as error:
                lost = lost or error.may_have_happened
                delay = policy.delay(attempt, retry_after=error.retry_after)
                if delay is None and attempt == 1:
                    raise
                if delay is None or self._is_late(request, delay):
                    raise _exhausted(error, attempts=attempt, lost=lost, late=delay) from error
            await self.sleep(delay)

    def _is_late(self, request: Request, delay: float) -> bool:
        return request.deadline is not None and self.now() + delay >= request.deadline

    async def _attempt(self, request: Request, arguments: dict[str, Any]) -> Any:
        """Make one attempt, if the circuit breaker allows it."""
        breaker = self._options.breaker
        if breaker is None:
            return await self._exchange(request, arguments)
        with breaker.guard(extra_seconds=request.wait_seconds + WAIT_MARGIN_SECONDS):
            return await self._exchange(request, arguments)

    async def _exchange(self, request: Request, arguments: dict[str, Any]) -> Any:
        http = http_library()
        try:
            response = await self._send(arguments)
        except (http.TransportError, http.DecodingError) as error:
            raise self._error_of(request, error) from error
        return content_of(
            request, status=response.status_code, headers=response.headers, body=response.content
        )

    def _error_of(self, request: Request, error: Exception) -> errors.ServiceIntegrationError:
        """Return what it means that the HTTP library got no answer."""
        http = http_library()
        if isinstance(error, (http.ConnectTimeout, http.ConnectError)):
            reason = str(error) or type(error).__name__
            return errors.ServiceUnavailableError(
                f"The hub at {self._configuration.base_url} cannot be reached: {reason}."
            )
        if isinstance(error, http.TimeoutException):
            return errors.RequestTimeoutError(
                f"No answer to {request.method} {request.path} within the timeout."
            )
        if isinstance(error, http.TransportError):  # nobody knows how far the request came
            reason = str(error) or type(error).__name__
            return errors.ServiceUnavailableError(
                f"The connection to the hub at {self._configuration.base_url} broke before it"
                f" answered {request.method} {request.path}: {reason}.",
                may_have_happened=request.method != "GET",
            )
        sentence = f"The answer to {request.method} {request.path} cannot be unpacked: {error}"
        return errors.UnexpectedAnswerError(sentence)

    async def lines(
        self, request: Request, headers: Mapping[str, str], *, silent_seconds: float
    ) -> AsyncGenerator[str, None]:
        """Yield the lines of an answer as they come, until it ends.

        Raises: what `call` raises; RequestTimeoutError when nothing comes for so long.
        """
        http = http_library()
        arguments = self._arguments(request)
        arguments["headers"] = {**arguments["headers"], **headers}
        arguments["timeout"] = http.Timeout(self._timeout_of(request), read=silent_seconds)
        try:
            async with closing(self._stream(arguments)) as parts:
                async for status, got, text in parts:
                    if status != 200:
                        content_of(request, status=status, headers=got, body=text.encode())
                    yield text
        except (http.TransportError, http.DecodingError) as error:
            raise self._error_of(request, error) from error

    def _arguments(self, request: Request) -> dict[str, Any]:
        """Return what the HTTP library is given: the same for every attempt."""
        headers = {**self._headers, "X-Request-ID": request_id_to_send()}
        if request.idempotency_key:
            headers["Idempotency-Key"] = request.idempotency_key
        content = None
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            content = encode_json(request.body)
        return {
            "method": request.method,
            "url": self._configuration.base_url + request.path,
            "params": request.query or None,
            "content": content,
            "headers": headers,
            "timeout": self._timeout_of(request),
        }

    def _timeout_of(self, request: Request) -> float:
        timeout, breaker = self._configuration.timeout, self._options.breaker
        if breaker is not None and breaker.timeout is not None:
            timeout = min(timeout, breaker.timeout)
        if request.wait_seconds:
            timeout = max(timeout, request.wait_seconds + WAIT_MARGIN_SECONDS)
        return timeout

    def _client_arguments(self) -> dict[str, Any]:
        """Return what connections are opened with: TLS is verified, proxies of the environment are
        not used, as the hub is a neighbour.
        """
        http, transport = http_library(), self._options.transport
        uses_tls = self._configuration.base_url.startswith("https:") and not transport
        return {
            "transport": transport,
            "verify": http.create_ssl_context() if uses_tls else False,
            "trust_env": False,
            "limits": http.Limits(
                max_connections=MOST_CONNECTIONS, max_keepalive_connections=MOST_CONNECTIONS
            ),
        }

    @abstractmethod
    async def _send(self, arguments: dict[str, Any]) -> Any:
        """The HTTP library's response."""

    @abstractmethod
    def _stream(self, arguments: dict[str, Any]) -> AsyncGenerator[tuple[int, Any, str], None]:
        """Status, headers and line, for each line; the whole body where the status is not 200."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None: ...


class BlockingHub(Hub):
    """Blocks the thread; its coroutines never suspend. Threads may share it."""

    def __init__(self, options: HubOptions) -> None:
        super().__init__(options)
        self._client: httpx2.Client | None = None
        self._opening = threading.Lock()
        self._slots = threading.BoundedSemaphore(MOST_CONNECTIONS)

    def _opened(self) -> httpx2.Client:
        client = self._client
        if client is None:
            with self._opening:
                if self._client is None:
                    self._client = http_library().Client(**self._client_arguments())
                client = self._client
        return client

    async def _stream(
        self, arguments: dict[str, Any]
    ) -> AsyncGenerator[tuple[int, Any, str], None]:
        with self._slots, self._opened().stream(**arguments) as response:
            status, headers = response.status_code, response.headers
            if status != 200:
                yield status, headers, response.read().decode(errors="replace")
                return
            for line in response.iter_lines():
                yield status, headers, line

    async def _send(self, arguments: dict[str, Any]) -> Any:
        client = self._opened()
        with self._slots:
            response = client.request(**arguments)
            if stream := _stream_to_drop(response):
                stream.close()
            return response

    async def sleep(self, seconds: float) -> None:
        (self._options.sleep or time.sleep)(seconds)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


@dataclass(frozen=True)
class _Connections:
    """Those of one event loop. The HTTP library's own queue is slow with thousands in it."""

    client: httpx2.AsyncClient
    slots: asyncio.Semaphore


class AwaitingHub(Hub):
    """Awaits. Each event loop has its own connections, so that `asyncio.run` may come twice."""

    def __init__(self, options: HubOptions) -> None:
        super().__init__(options)
        self._connections: dict[asyncio.AbstractEventLoop, _Connections] = {}

    async def _stream(
        self, arguments: dict[str, Any]
    ) -> AsyncGenerator[tuple[int, Any, str], None]:
        connections = self._opened()
        async with connections.slots, connections.client.stream(**arguments) as response:
            status, headers = response.status_code, response.headers
            if status != 200:
                yield status, headers, (await response.aread()).decode(errors="replace")
                return
            async for line in response.aiter_lines():
                yield status, headers, line

    def _opened(self) -> _Connections:
        import asyncio

        loop = asyncio.get_running_loop()
        connections = self._connections.get(loop)
        if connections is None:
            self._forget_closed_loops()
            client = http_library().AsyncClient(**self._client_arguments())
            connections = _Connections(client, asyncio.Semaphore(MOST_CONNECTIONS))
            self._connections[loop] = connections
        return connections

    async def _send(self, arguments: dict[str, Any]) -> Any:
        connections = self._opened()
        async with connections.slots:
            response = await connections.client.request(**arguments)
            if stream := _stream_to_drop(response):
                await stream.aclose()
            return response

    def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in list(self._connections) if loop.is_closed()]:
            self._connections.pop(loop, None)

    async def sleep(self, seconds: float) -> None:
        import asyncio
        import inspect

        slept = (self._options.sleep or asyncio.sleep)(seconds)
        if inspect.isawaitable(slept):
            await slept

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        import asyncio

        connections = self._connections.pop(asyncio.get_running_loop(), None)
        if connections is not None:
            await connections.client.aclose()


def _stream_to_drop(response: Any) -> Any:
    """Return the connection of an answer that ends with its head (RFC 9112, 6.3).

    Bytes that a peer sends behind it all the same must not be taken for the next answer.
    """
    ends_with_head = response.status_code in (204, 304)
    return response.extensions.get("network_stream") if ends_with_head else None


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Finish a coroutine that never suspends, as those of a `BlockingHub` do."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        result: T = finished.value
        return result
    coroutine.close()
    raise RuntimeError("A blocking operation tried to wait on an event loop.")


def iterate_blocking(items: AsyncGenerator[T, None]) -> Iterator[T]:
    """Yield the items of an asynchronous generator that never suspends, and close it."""
    try:
        while True:
            try:
                item = run_blocking(_next_of(items))
            except StopAsyncIteration:
                return
            yield item
    finally:
        run_blocking(_close(items))


@asynccontextmanager
async def closing(items: AsyncGenerator[T, None]) -> AsyncIterator[AsyncGenerator[T, None]]:
    """Close a generator with the block, which `async for` alone leaves to the event loop."""
    try:
        yield items
    finally:
        await items.aclose()


async def _close(items: AsyncGenerator[T, None]) -> None:
    await items.aclose()


async def _next_of(items: AsyncIterator[T]) -> T:
    return await items.__anext__()


def _headers(configuration: Configuration) -> dict[str, str]:
    headers = {"Accept": "application/json", "User-Agent": "service-integration-client"}
    if configuration.api_key:
        headers["Authorization"] = f"Bearer {configuration.api_key}"
    return headers


def _exhausted(
    error: errors.ServiceUnavailableError, *, attempts: int, lost: bool, late: float | None
) -> errors.MaxRetriesExceededError:
    times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    if late is not None:
        times += f", as another would begin in {late:.3g} s, after the time given for it"
    note = " An answer was lost: what was asked for may have been done." if lost else ""
    return errors.MaxRetriesExceededError(
        f"Given up after {times}: {error.message}{note}",
        attempts=attempts,
        last_error=error,
        may_have_happened=lost,
        code=error.code,
        status_code=error.status_code,
        request_id=error.request_id,
    )
