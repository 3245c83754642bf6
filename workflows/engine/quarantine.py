"""Steps whose worker died run in a process of their own, where they can harm nobody else.

All that the worker held is under suspicion. The process takes the next step when the one before has
ended or has gone well for half a second, those with the fewest deaths first: so the innocent are
soon done, and a second and a third death have one cause.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import structlog
from django.conf import settings

logger = structlog.get_logger(__name__)

MOST_AT_ONCE = 20
LOOK_SECONDS = 0.2
IDLE_SECONDS = 5.0


class QuarantineProcess:
    """The quarantine that a worker started: one process at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """See to it that quarantined steps are run."""
        if self._process is None or self._process.poll() is not None:
            logger.info("suspects_started")
            command = [sys.executable, "-m", "workflows.engine.quarantine"]
            self._process = subprocess.Popen(
                command, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL
            )

    def stop(self) -> None:
        """Tell it to finish what it has; it ends by itself."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()


def run(*, idle_seconds: float = IDLE_SECONDS) -> None:
    """Run quarantined steps until none came for a while, or the worker that began this is gone."""
    from workflows.engine.worker import Engine

    ended = threading.Event()

    def end(*_: Any) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    worker = os.getppid()
    engine = Engine(quarantine=True, max_in_flight=MOST_AT_ONCE)
    engine.start()
    busy_at = time.monotonic()
    while not ended.wait(LOOK_SECONDS) and os.getppid() == worker:
        engine.look()
        if engine.in_flight:
            busy_at = time.monotonic()
        elif time.monotonic() - busy_at > idle_seconds:
            break
    engine.stop(settings.ENGINE_GRACE_SECONDS)


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "integration_site.settings")
    django.setup()
    run()
