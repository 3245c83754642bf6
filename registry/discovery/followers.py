"""Lets callers wait for the next change of the registry."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future

from core.api.waiters import Waiters
from core.news import NewsItem, own_news
from registry.discovery.base import get_discovery
from registry.discovery.change_log import NEWS


def when_changed(index: int, *, seconds: float) -> Future[bool]:
    """Return what is done once the newest index is another one, or so many seconds are over."""
    own_news().hear(NEWS, _hear)
    own_news().listen()
    return waiting.wait(index, seconds=seconds)


def _hear(_: NewsItem) -> None:
    waiting.look_now()


def find_passed(indexes: Iterable[int]) -> set[int]:
    """Return those that are not the newest, without reading what came after them."""
    newest = get_discovery().latest_index()
    passed = {index for index in indexes if index != newest}
    if passed and not own_news().hears:
        # Nobody told: then what this process keeps of before is to be forgotten now.
        own_news().note(NEWS)
    return passed


# Who waits in this process, by the index that they know.
waiting = Waiters("registry-changes", find_passed)
