"""Real targets for integrations: servers on a loop of their own, for tests that have none."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from reference_services.app import build_app
from reference_services.services import SERVICES
from reference_services.store import ServiceStore
from registry.calls.blocking_client import close_shared_client
from registry.calls.event_loop_thread import LoopThread
from registry.models import Service, ServiceAction
from tests import factories

_numbers = itertools.count(1)


@contextlib.contextmanager
def serving(build: Callable[[], web.Application]) -> Iterator[str]:
    """The URL of an application while the block lasts; it is built on its loop."""
    loop = LoopThread("test-server")

    async def start() -> TestServer:
        server = TestServer(build())
        await server.start_server()
        return server

    server = loop.run(start())
    try:
        yield str(server.make_url("")).rstrip("/")
    finally:
        loop.run(server.close())
        loop.stop()


@contextlib.contextmanager
def coordinator(folder: Path, **of_action: Any) -> Iterator[Service]:
    """The project coordinator of the reference fleet, registered with its own schemas."""
    known = SERVICES["project-coordinator"]

    def build() -> web.Application:
        store = ServiceStore(folder / f"coordinator-{next(_numbers)}.sqlite3")

        async def close(_: web.Application) -> None:
            store.close()

        application = build_app(known, store=store, folders=())
        application.on_cleanup.append(close)
        return application

    with serving(build) as url:
        service = factories.make_service(
            f"project-coordinator-{next(_numbers)}", urls=(url,), type="PROJECT_COORDINATOR"
        )
        for action in known.actions:
            ServiceAction.objects.create(
                service=service,
                name=action.name,
                method=action.method,
                path=action.path,
                input_schema=action.input_schema,
                output_schema=action.output_schema,
                **of_action,
            )
        yield service


@contextlib.contextmanager
def echoing(*, status: int = 200) -> Iterator[tuple[Service, dict[str, Any]]]:
    """A service whose action `echo` answers what it was sent; what it is told to do instead."""
    told: dict[str, Any] = {"status": status, "headers": {}, "calls": 0}

    async def echo(request: web.Request) -> web.Response:
        told["calls"] += 1
        told["headers"] = dict(request.headers)
        return web.json_response({"got": await request.json()}, status=told["status"])

    def build() -> web.Application:
        application = web.Application()
        application.router.add_post("/echo", echo)
        return application

    with serving(build) as url:
        yield (
            factories.make_service(
                f"echo-{next(_numbers)}", urls=(url,), actions=("echo",),
                breaker={"failure_threshold": 100, "minimum_calls": 1000},
            ),
            told,
        )  # fmt: skip


@contextlib.contextmanager
def own_client() -> Iterator[None]:
    """A client of this process of its own, closed at the end."""
    close_shared_client()
    yield
    close_shared_client()


def make_integration(api: Any, service: Service, action: str, **fields: Any) -> dict[str, Any]:
    """An integration as the API makes it."""
    body = {
        "name": f"integration-{next(_numbers)}",
        "target": {"service": service.name, "action": action},
        **fields,
    }
    answer = api.post("/registry/integrations", body)
    assert answer.status_code == 201, answer.content
    return answer.json()
