"""Requests that wait for something give up their thread meanwhile, and their view runs anew after.

What a view did before it was set aside is remembered by name, so that the second run does not do
it again. Where nobody can set a request aside (tests, programs that use the views directly), the
thread waits.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import connections
from django.http import HttpRequest
from rest_framework.request import Request

T = TypeVar("T")

# Where the front keeps the suspension of a request, in its WSGI environment.
ENVIRON_KEY = "hub.suspension"
_slow_work = ThreadPoolExecutor(16, "slow-work")


class Suspended(BaseException):
    """The request is set aside until a future is done."""


class Suspension:
    """What a request did so far, and what it waits for now."""

    def __init__(self) -> None:
        self.results: dict[str, Any] = {}
        self.awaited: Future[Any] | None = None


def once(request: HttpRequest | Request, name: str, act: Callable[[], T]) -> T:
    """Return what `act` returned when this request came by first; it is done once."""
    suspension = _suspension_of(request)
    if suspension is None:
        return act()
    if name not in suspension.results:
        suspension.results[name] = act()
    result: T = suspension.results[name]
    return result


def result_of(request: HttpRequest | Request, name: str, begin: Callable[[], Future[T]]) -> T:
    """Return the result of the future that `begin` gave when this request came by first.

    Raises:
        Suspended: it is not done yet, and the front waits for it. Let it pass: the view runs anew.
        Anything that the future raises.
    """
    suspension = _suspension_of(request)
    if suspension is None:
        return begin().result()
    future = once(request, name, begin)
    if not future.done():
        suspension.awaited = future
        raise Suspended
    return future.result()


def apart(request: HttpRequest | Request, name: str, work: Callable[[], T]) -> T:
    """Return what `work` returned when this request came by first; under the front it has a thread
    of its own kind, so that what is slow holds none of those that answer requests.

    Raises:
        Suspended: it is still at it.
        Anything that the work raises.
    """
    if _suspension_of(request) is None:
        return work()
    context = contextvars.copy_context()
    return result_of(request, name, lambda: _slow_work.submit(context.run, _work_off, work))


def _work_off(work: Callable[[], T]) -> T:
    try:
        return work()
    finally:
        connections.close_all()


def _suspension_of(request: HttpRequest | Request) -> Suspension | None:
    suspension: Suspension | None = request.META.get(ENVIRON_KEY)
    return suspension
