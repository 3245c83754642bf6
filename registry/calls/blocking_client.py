"""Gives code that is not asynchronous the client of this process, on a loop of its own."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import structlog

from registry.calls.client import CallResult, ServiceClient
from registry.calls.event_loop_thread import LoopThread
from registry.calls.health_probe import Probe
from registry.calls.request import OutboundRequest
from registry.calls.targets.resolver import CallTarget
from registry.discovery.base import get_discovery

T = TypeVar("T")

logger = structlog.get_logger(__name__)

# What is still to be recorded is recorded within two seconds, or not at all.
CLOSE_SECONDS = 5.0

_loop = LoopThread("service-calls")
_making = threading.Lock()
_client: ServiceClient | None = None


def _shared_client() -> ServiceClient:
    global _client
    with _making:
        if _client is None:
            _client = ServiceClient()
        return _client


def call_service(
    target: CallTarget, action: str, document: Mapping[str, Any], **options: Any
) -> CallResult:
    """Call by what the registry says now, and wait for the result (`ServiceClient.call`)."""
    return begin_call(target, action, document, **options).result()


def begin_call(
    target: CallTarget, action: str, document: Mapping[str, Any], **options: Any
) -> Future[CallResult]:
    """Begin the same and return the result to come."""
    as_of = get_discovery().latest_index()
    return on_shared_loop(
        lambda client: client.call(target, action, document, as_of=as_of, **options)
    )


def on_shared_loop(work: Callable[[ServiceClient], Coroutine[Any, Any, T]]) -> Future[T]:
    """Begin work with the client of this process, on the loop that the client lives on."""
    return asyncio.run_coroutine_threadsafe(work(_shared_client()), _loop.loop)


def post(recipient: str, request: OutboundRequest, *, origin: str, seconds: float) -> int:
    """Send a request that is complete and wait for its status (`ServiceClient.post`)."""
    return on_shared_loop(
        lambda client: client.post(recipient, request, origin=origin, seconds=seconds)
    ).result()


def probe_urls(urls: Sequence[str]) -> list[Probe]:
    """Ask health URLs at once, and wait for their answers in that order."""
    return begin_probes(urls).result()


def begin_probes(urls: Sequence[str]) -> Future[list[Probe]]:
    """Begin the same and return the answers to come."""
    return on_shared_loop(lambda client: client.probe(urls))


def close_shared_client() -> None:
    """Record what is still to be recorded and close the connections; the next call makes a new one.

    A process does this when it ends. Commands do it at the last moment, when threads take no more
    work: then connections are closed, and what was not recorded is lost.
    """
    global _client
    with _making:
        client, _client = _client, None
    if client is None:
        return
    closing = asyncio.run_coroutine_threadsafe(client.close(), _loop.loop)
    try:
        closing.result(CLOSE_SECONDS)
    except Exception as error:
        logger.warning("client_not_closed", error=str(error)[:300] or type(error).__name__)


atexit.register(close_shared_client)
