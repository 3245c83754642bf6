"""Places at which a test kills its own process, to see what survives.

`FAILPOINT=C4` kills at the first time that the place C4 is reached, `C4:3` at the third, and
`C4@pay` only where it is about the step `pay`. The places are listed in docs/testing.md.
"""

from __future__ import annotations

import os
import re
import signal
import threading

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

_SYNTAX = re.compile(r"(?P<name>[CM]\d+)(?:@(?P<step>[^:]+))?(?::(?P<nth>[1-9]\d*))?")


class Failpoint:
    """One armed place, and how often it is still passed."""

    def __init__(self, name: str, *, step: str = "", nth: int = 1) -> None:
        self.name = name
        self.step = step
        self._left = nth
        self._lock = threading.Lock()

    def is_hit(self, name: str, step: str) -> bool:
        """Return whether this pass through a place is the one to die at."""
        if name != self.name or self.step not in ("", step):
            return False
        with self._lock:
            self._left -= 1
            return self._left == 0


def parse(text: str) -> Failpoint | None:
    """Return what a value of FAILPOINT arms; None for an empty one.

    Raises:
        ImproperlyConfigured: it names no place.
    """
    if not text:
        return None
    match = _SYNTAX.fullmatch(text)
    if match is None:
        sentence = f"FAILPOINT is '{text}'. Use a place such as C4, C4:3 or C4@pay."
        raise ImproperlyConfigured(sentence)
    return Failpoint(match["name"], step=match["step"] or "", nth=int(match["nth"] or 1))


_armed = parse(settings.FAILPOINT)


def arm(text: str) -> None:
    """Arm a place in this process, for one that was forked after its start."""
    global _armed
    _armed = parse(text)


def failpoint(name: str, step: str = "") -> None:
    """Kill this process if the place is armed; unarmed, look at one variable and return."""
    if _armed is not None and _armed.is_hit(name, step):
        # No goodbye, as the kernel's out-of-memory killer says none.
        os.kill(os.getpid(), signal.SIGKILL)
