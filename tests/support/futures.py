"""Calls that a test stands in for, as futures that are done."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


def in_future(call: Callable[..., Any]) -> Callable[..., Future[Any]]:
    """What gives the future of what `call` returns or raises."""

    def begin(*args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(call(*args, **options))
        except Exception as error:
            future.set_exception(error)
        return future

    return begin
