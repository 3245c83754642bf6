"""Each service under test answers on a real port, with a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from reference_services.app import build_app
from reference_services.runner import SAMPLES
from reference_services.services import SERVICES
from reference_services.store import ServiceStore

FRIDAY = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
StartService = Callable[..., Awaitable[TestClient[Any, Any]]]


@pytest.fixture
async def start_service(tmp_path: Path) -> AsyncIterator[StartService]:
    """Starts a service by name; answers a client for it."""
    async with AsyncExitStack() as stack:

        async def start(name: str, **options: Any) -> TestClient[Any, Any]:
            store = ServiceStore(tmp_path / f"{name}.sqlite3")
            stack.callback(store.close)
            folders = (SAMPLES, tmp_path / "documents")
            app = build_app(
                SERVICES[name], store=store, folders=folders, clock=lambda: FRIDAY, **options
            )
            return await stack.enter_async_context(TestClient(TestServer(app)))

        yield start
