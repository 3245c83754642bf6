"""What the tests of the front share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from integration_site.front.application import Front
from tests.support.fronts import CountedDjango, front_over, make_fleet


@pytest.fixture
def in_thread() -> Callable[[Callable[[], Any]], Awaitable[Any]]:
    """Do what asks the database in a thread, as the loop may not."""

    def run(work: Callable[[], Any]) -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    return lambda work: asyncio.to_thread(run, work)


@pytest.fixture
def django() -> CountedDjango:
    return CountedDjango()


@pytest.fixture
def front(django: CountedDjango) -> Iterator[Front]:
    """A front whose kept answers do not age, at a time that stands still."""
    with front_over(django) as front:
        yield front


@pytest.fixture
def fleet() -> None:
    make_fleet()
