"""The engine of a worker process, and what runs beside it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import structlog
from django.conf import settings

from core.failpoints import failpoint
from core.gc_tuning import freeze_loaded_objects
from workflows.engine.lease_recovery import has_due_quarantined
from workflows.engine.quarantine import QuarantineProcess
from workflows.engine.ready_queue import ReadyListener, ReadyPublisher
from workflows.signalling.notifier import own_notifier

if TYPE_CHECKING:
    from workflows.engine.worker import Engine

logger = structlog.get_logger(__name__)

SWITCH_SECONDS = 0.0005


class Announcer(Protocol):
    """Tells workers of other processes."""

    def announce(self, step_ids: list[str]) -> None:
        """Tell some worker that these steps are ready."""


class Quarantine(Protocol):
    """Runs steps whose worker died, apart from all others."""

    def start(self) -> None:
        """See to it that they are run."""

    def stop(self) -> None:
        """Finish what is begun."""


class WorkerRuntime:
    """At most one engine in this process; web and beat have none, and tell workers instead."""

    def __init__(self) -> None:
        self.announcer: Announcer = ReadyPublisher(own_notifier)
        self.quarantine: Quarantine = QuarantineProcess()
        self._engine: Engine | None = None
        self._listener: ReadyListener | None = None

    @property
    def owner(self) -> str:
        """Return the name of the engine; "" without one."""
        return self._engine.owner if self._engine is not None else ""

    def start(self, *, first: Callable[[], object]) -> None:
        """Run an engine beside the threads of Celery, and do `first` once, from a thread."""
        # Imported here: beat and the web load this module too, and need no engine.
        from workflows.engine.worker import Engine

        if self._engine is not None:
            return
        # A thread that computes lets go of the interpreter often, so that the others go on.
        sys.setswitchinterval(SWITCH_SECONDS)
        self._engine = Engine()
        self._engine.start()
        self._listener = ReadyListener(own_notifier(), self.look)
        self._listener.start()
        freeze_loaded_objects()
        threading.Thread(target=first, name="first-sweep", daemon=True).start()
        logger.info("engine_started", owner=self.owner)

    def stop(self) -> None:
        """Let calls finish within their grace and free the rest."""
        self.quarantine.stop()
        if self._listener is not None:
            self._listener.stop()
        if self._engine is not None:
            engine, self._engine = self._engine, None
            engine.stop(settings.ENGINE_GRACE_SECONDS)
            logger.info("engine_stopped", owner=engine.owner)

    def look(self, step_ids: Sequence[str]) -> None:
        """Claim steps that this worker was told of, if nobody has yet; [] for whatever is due."""
        failpoint("C2")
        if self._engine is not None:
            self._engine.look(step_ids)

    def look_around(self) -> None:
        """Claim whatever is due, and run what is in quarantine."""
        if self._engine is not None:
            if has_due_quarantined():
                self.quarantine.start()
            self._engine.look()

    def announce(self, step_ids: list[str]) -> None:
        """Have these steps claimed: here, or else by some worker; subscriber of `steps_ready`."""
        failpoint("C1")
        if self._engine is not None:
            self._engine.look(step_ids)
        else:
            self.announcer.announce(step_ids)


runtime = WorkerRuntime()
