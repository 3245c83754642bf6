"""Lets callers wait for the next change of the registry."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from functools import cache

from core.api.waiters import Waiters
from core.news import own_news
from registry.discovery.base import get_discovery
from registry.discovery.change_log import NEWS


def when_changed(index: int, *, seconds: float) -> Future[bool]:
    """Return what is done once the newest index is another one, or so many seconds are over."""
    return waiters().wait(index, seconds=seconds)


@cache
def waiters() -> Waiters[int]:
    """Return those who wait in this process, by the index that they know."""
    waiting = Waiters("registry-changes", find_passed)
    own_news().hear(NEWS, lambda _: waiting.look_now())
    own_news().listen()
    return waiting


def find_passed(indexes: Iterable[int]) -> set[int]:
    """Return those that are not the newest, without reading what came after them."""
    newest = get_discovery().latest_index()
    return {index for index in indexes if index != newest}
