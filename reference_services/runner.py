"""Runs one service as this process: opens its store, listens, keeps itself registered."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from reference_services import outage as outages
from reference_services.app import build_app
from reference_services.console import say
from reference_services.lifetime import die_with_parent, ends_on_signals, wait_for_the_end
from reference_services.service import Service
from reference_services.store import ServiceStore
from service_integration_client import ServiceRegistration

SAMPLES = Path(__file__).parent / "samples"
GRACE_SECONDS = 2.0
HUB_TIMEOUT_SECONDS = 5.0


class StartError(Exception):
    """The service cannot start; the message says why and what to change."""


@dataclass(frozen=True)
class RunOptions:
    """`port` 0 means the port of the last run where it is free, else any free one."""

    data_dir: Path
    port: int = 0
    host: str = "127.0.0.1"
    hub_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    ttl_seconds: int = 90
    parent_pid: int | None = None


async def run_service(service: Service, options: RunOptions) -> None:
    """Serve until a signal comes or the parent process is gone. Raises: StartError."""
    ending = ends_on_signals()
    if options.parent_pid is not None:
        die_with_parent()
    outage = outages.Outage(options.data_dir / f"{service.name}.outage")
    if not await _is_back(service, outage, ending):
        return
    store = ServiceStore(options.data_dir / f"{service.name}.sqlite3")
    folders = (SAMPLES, options.data_dir / "documents")
    build = service.build or functools.partial(
        build_app, service, store=store, folders=folders, outage=outage
    )
    # A runner's own signal handling would end the process without signing off.
    runner = web.AppRunner(
        build(),
        handle_signals=False,
        access_log=None,
        shutdown_timeout=GRACE_SECONDS,
        handler_cancellation=service.build is not None,
    )
    await runner.setup()
    listener = _listen(service, options)
    try:
        await web.SockSite(runner, listener).start()
        url = f"http://{options.host}:{listener.getsockname()[1]}"
        async with _registered(service, options, url=url):
            say(f"{service.name} listens on {url}")
            await wait_for_the_end(ending, parent_pid=options.parent_pid)
    finally:
        await runner.cleanup()
        store.close()


async def _is_back(service: Service, outage: outages.Outage, ending: asyncio.Event) -> bool:
    """Wait until an outage is over; return whether it is, and not the process to end."""
    if seconds := outage.seconds_left():
        say(f"{service.name} stays away for {seconds:.0f} s, as it was told to")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), seconds)
    return not ending.is_set()


def _actions(service: Service) -> list[dict[str, Any]]:
    """Return what the hub is told that can be called."""
    if service.build is not None:
        return []
    return [*(action.registration() for action in service.actions), outages.ACTION]


def _listen(service: Service, options: RunOptions) -> socket.socket:
    """Open a listening socket; the data folder keeps its port, so that the URL stays the same."""
    remembered = options.data_dir / f"{service.name}.port"
    last = remembered.read_text().strip() if remembered.exists() else ""
    last_port = int(last) if last.isdecimal() and int(last) < 65536 else 0
    listener = _bound(options.host, options.port or last_port)
    if listener is None and options.port:
        raise StartError(f"Port {options.port} on {options.host} is taken; give another --port.")
    listener = listener or _bound(options.host, 0)
    if listener is None:
        raise StartError(f"No port can be opened on {options.host}; give another --host.")
    remembered.write_text(str(listener.getsockname()[1]))
    return listener


def _bound(host: str, port: int) -> socket.socket | None:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        return None
    return listener


def _registered(
    service: Service, options: RunOptions, *, url: str
) -> contextlib.AbstractAsyncContextManager[Any]:
    if not options.hub_url:
        return contextlib.nullcontext()
    return ServiceRegistration(
        service.name,
        url,
        base_url=options.hub_url,
        api_key=options.api_key,
        type=service.type,
        description=service.description,
        health_url=f"{url}/health",
        version=service.version,
        tags=list(service.tags),
        actions=_actions(service),
        metadata={"version": service.version, "process_id": os.getpid()},
        ttl_seconds=options.ttl_seconds,
        timeout=HUB_TIMEOUT_SECONDS,
    )


def run(service: Service, options: RunOptions) -> None:
    asyncio.run(run_service(service, options))
