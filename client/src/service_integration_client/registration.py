"""Keeps a service known to the hub: registers it, sends heartbeats, signs it off."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from service_integration_client import exceptions as errors
from service_integration_client.configuration import configuration
from service_integration_client.hub import AwaitingHub, BlockingHub, Hub, HubOptions, run_blocking
from service_integration_client.operations import services
from service_integration_client.requests import JsonObject
from service_integration_client.retries import NEVER, backoff

if TYPE_CHECKING:
    import asyncio

    from typing_extensions import Self

    from service_integration_client.hub import Sleep, Transport

logger = logging.getLogger(__name__)

DEFAULT_TTL_SECONDS = 90
HEARTBEATS_PER_TTL = 3
JITTER = 0.1
FIRST_BACKOFF_SECONDS = 1.0
CALL_TIMEOUT_SECONDS = 10.0
# The arguments of a registration that the hub is told, besides the name and the URL.
SERVICE_FIELDS = (
    "type", "description", "health_url", "version", "actions", "metadata", "tags", "weight",
    "zone", "ttl_seconds",
)  # fmt: skip
# No later attempt mends these.
_PERMANENT = (
    errors.ValidationError,
    errors.AuthenticationError,
    errors.PermissionDeniedError,
    errors.ConflictError,
)


class ServiceRegistration:
    """A context manager, plain or async: inside it the hub knows the service.

    On entering it registers once. A hub that cannot be reached does not stop the service from
    starting: the registration goes on trying, with growing pauses of up to one interval. What
    will not mend by itself (a wrong key, an invalid field) is raised. Inside, it sends a heartbeat
    every `heartbeat_interval` seconds (a third of `ttl_seconds` when not given), a tenth more or
    less by chance; when the hub answers that it does not know the service, it registers again. On
    leaving it sets the service's instance OFFLINE. ``with`` beats from a thread, ``async with``
    from a task. `lifespan` is for ASGI frameworks, `start` and `stop` for everything else.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        type: str | None = None,
        description: str | None = None,
        health_url: str | None = None,
        version: str | None = None,
        actions: list[JsonObject] | None = None,
        metadata: JsonObject | None = None,
        tags: list[str] | None = None,
        weight: int | None = None,
        zone: str | None = None,
        ttl_seconds: int = DEFAULT_TTL_SECONDS,
        heartbeat_interval: float | None = None,
        timeout: float = CALL_TIMEOUT_SECONDS,
        transport: Transport | None = None,
        sleep: Sleep | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`sleep` answers after so many seconds; `chance` answers 0 to 1. Raises: ValueError."""
        if ttl_seconds <= 0 or (heartbeat_interval is not None and heartbeat_interval <= 0):
            raise ValueError("ttl_seconds and heartbeat_interval are greater than 0.")
        arguments = locals()
        self._fields = {name: arguments[name] for name in SERVICE_FIELDS}
        self.name = name
        self.url = url
        self.interval = heartbeat_interval or ttl_seconds / HEARTBEATS_PER_TTL
        self.service: JsonObject | None = None
        self._options = HubOptions(
            configuration(base_url=base_url, api_key=api_key, timeout=timeout),
            transport=transport,
            sleep=sleep,
            policy=NEVER,
        )
        self._chance = chance
        self._blocking: BlockingHub | None = None
        self._awaiting: AwaitingHub | None = None
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = threading.Event()

    @property
    def is_registered(self) -> bool:
        """Return whether the hub knew the service when last spoken to."""
        return self.service is not None

    def start(self) -> None:
        """Register, and beat from a thread until `stop`. Raises: what does not mend by itself."""

        def wait_or_stop(seconds: float) -> None:
            self._stopping.wait(seconds)

        self._stopping.clear()
        options = replace(self._options, sleep=self._options.sleep or wait_or_stop)
        hub = self._blocking = BlockingHub(options)
        run_blocking(self._register_first(hub))
        self._thread = threading.Thread(
            target=lambda: run_blocking(self._send_heartbeats(hub)),
            name=f"heartbeat of {self.name}",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop beating and set the instance OFFLINE; nothing when it was not started."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(self._options.configuration.timeout * 2)
        if self._blocking is not None:
            run_blocking(self._sign_off(self._blocking))
            self._blocking.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """Register while the application serves: for the `lifespan` argument of a framework."""
        async with self:
            yield

    async def __aenter__(self) -> Self:
        import asyncio

        self._awaiting = AwaitingHub(self._options)
        await self._register_first(self._awaiting)
        self._task = asyncio.create_task(self._send_heartbeats(self._awaiting))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        import asyncio

        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._awaiting is not None:
            await self._sign_off(self._awaiting)
            await self._awaiting.aclose()

    async def _register_first(self, hub: Hub) -> None:
        try:
            await self._register(hub)
        except _PERMANENT:
            raise
        except errors.ServiceIntegrationError as error:
            logger.warning("%s is not registered yet: %s", self.name, error)

    async def _register(self, hub: Hub) -> None:
        self.service = await services.register_service(hub, self.name, url=self.url, **self._fields)
        logger.info("%s is registered at %s", self.name, self.url)

    async def _send_heartbeats(self, hub: Hub) -> None:
        """Send heartbeats for ever; ends by being cancelled, or by the event that `stop` sets."""
        failures = 0
        while not self._stopping.is_set():
            await hub.sleep(self._seconds_to_next(failures))
            if self._stopping.is_set():
                return
            try:
                await self._send_heartbeat(hub)
            except errors.ServiceIntegrationError as error:
                failures += 1
                logger.warning("no heartbeat of %s: %s", self.name, error)
            else:
                failures = 0

    async def _send_heartbeat(self, hub: Hub) -> None:
        if self.service is None:
            await self._register(hub)
            return
        try:
            await services.heartbeat(hub, self._reference(), url=self.url)
        except errors.ResourceNotFoundError:
            self.service = None
            logger.info("the hub does not know %s any more", self.name)
            await self._register(hub)

    def _seconds_to_next(self, failures: int) -> float:
        """Return the seconds to the next heartbeat: an interval; less after failures, growing."""
        if self.service is None:
            failures = max(failures, 1)
        seconds = self.interval
        if failures:
            seconds = backoff(failures, base=FIRST_BACKOFF_SECONDS, most=self.interval)
        return seconds * (1 + JITTER * (2 * self._chance() - 1))

    async def _sign_off(self, hub: Hub) -> None:
        if self.service is None:
            return
        try:
            await services.heartbeat(hub, self._reference(), url=self.url, status="OFFLINE")
        except errors.ServiceIntegrationError as error:
            logger.warning("%s could not be signed off: %s", self.name, error)
        self.service = None

    def _reference(self) -> str:
        """Return the id that the hub gave the service, or its name."""
        return str((self.service or {}).get("id") or self.name)
