"""Counts the uses of credentials without a write for each call."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass

import structlog
from django.db import Error as DatabaseError
from django.utils import timezone

from registry.calls.auth.loaded_credential import LoadedCredential
from registry.calls.database_threads import DatabaseThreads
from registry.credentials.audit import Uses, record_uses

logger = structlog.get_logger(__name__)

WINDOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class CountedUse:
    """Uses that are counted together."""

    credential_id: str
    credential_name: str
    kind: str
    actor: str
    subject: str
    detail: str


class UsageCounter:
    """Writes the first use of a kind at once, and those after it together, once a minute.

    A process that is killed loses what it counted in its last minute, never that a credential was
    used at all. It is used on one event loop.
    """

    def __init__(self, threads: DatabaseThreads) -> None:
        self._threads = threads
        self._counts: Counter[CountedUse] = Counter()
        self._writers: dict[CountedUse, asyncio.Task[None]] = {}
        self._closing = asyncio.Event()

    def count(
        self, credential: LoadedCredential, kind: str, *, actor: str, subject: str, detail: str = ""
    ) -> None:
        """Count one use, or one refusal of it."""
        use = CountedUse(credential.id, credential.name, kind, actor, subject, detail)
        self._counts[use] += 1
        if use not in self._writers:
            self._writers[use] = asyncio.create_task(self._write_on(use))

    async def close(self) -> None:
        """Write what was counted and not yet written."""
        self._closing.set()
        await asyncio.gather(*self._writers.values())

    async def _write_on(self, use: CountedUse) -> None:
        while use in self._counts and (await self._write(use) or not self._closing.is_set()):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WINDOW_SECONDS):
                    await self._closing.wait()
        self._writers.pop(use, None)

    async def _write(self, use: CountedUse) -> bool:
        """Return whether the count is written; what is not is written with the next."""
        count = self._counts.pop(use)
        uses = Uses(
            use.credential_id, use.credential_name, use.kind, use.actor, use.subject, use.detail,
            count, timezone.now(),
        )  # fmt: skip
        try:
            await self._threads.run(record_uses, [uses])
        except DatabaseError as error:
            self._counts[use] += count
            logger.warning(
                "uses_not_recorded", credential=use.credential_name, error=str(error)[:300]
            )
            return False
        return True
