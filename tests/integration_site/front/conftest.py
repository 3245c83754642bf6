"""What the tests of the front share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.db import connections


@pytest.fixture
def in_thread() -> Callable[[Callable[[], Any]], Awaitable[Any]]:
    """Do what asks the database in a thread, as the loop may not."""

    def run(work: Callable[[], Any]) -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    return lambda work: asyncio.to_thread(run, work)
