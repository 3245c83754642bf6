"""Records which functions of the project are called, in their order and in every thread."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

PACKAGES = (
    "core", "registry", "workflows", "monitoring", "model_orchestration", "integration_site",
)  # fmt: skip


InThread = Callable[[Callable[[], None]], None]


@contextmanager
def calls_recorded(*threads: InThread) -> Iterator[list[str]]:
    """Collect `module.function` of each call that is made meanwhile.

    Of threads that began before, those are heard in which one of `threads` runs what it is given.
    """
    calls: list[str] = []

    def hear(frame: FrameType, event: str, _: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.split(".")[0] in PACKAGES:
            calls.append(f"{module}.{frame.f_code.co_qualname}")

    threading.setprofile(hear)
    everywhere: tuple[InThread, ...] = (lambda work: work(), *threads)
    for run_in in everywhere:
        run_in(lambda: sys.setprofile(hear))
    try:
        yield calls
    finally:
        for run_in in everywhere:
            run_in(lambda: sys.setprofile(None))
        threading.setprofile(None)
