"""Tells whoever lets callers wait that this web process stops.

Their callers are answered then with what there is, and nothing new waits.
"""

from __future__ import annotations

from collections.abc import Callable

_subscribers: list[Callable[[], None]] = []


def on_stopping(wake: Callable[[], None]) -> None:
    """Have `wake` called on the loop of the web process once that stops; it must not block."""
    _subscribers.append(wake)


def begin_stopping() -> None:
    """Have everyone who waits woken."""
    for wake in _subscribers:
        wake()
