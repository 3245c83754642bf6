"""Records which functions of the project are called, in their order and in every thread."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

PACKAGES = ("core", "registry", "workflows", "monitoring", "integration_site")


@contextmanager
def calls_recorded() -> Iterator[list[str]]:
    """Collect `module.function` of each call that is made meanwhile.

    Threads that began before are not heard: let them end first.
    """
    calls: list[str] = []

    def hear(frame: FrameType, event: str, _: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.split(".")[0] in PACKAGES:
            calls.append(f"{module}.{frame.f_code.co_qualname}")

    threading.setprofile(hear)
    sys.setprofile(hear)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
