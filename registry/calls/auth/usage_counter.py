"""Counts the uses of credentials without a write for each call."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from functools import partial

import structlog
from django.db import Error as DatabaseError
from django.utils import timezone

from registry.calls.auth.loaded_credential import LoadedCredential
from registry.calls.database_threads import DatabaseThreads
from registry.credentials.audit import CredentialUse, record_uses

logger = structlog.get_logger(__name__)

WINDOW_SECONDS = 60.0


class UsageCounter:
    """Writes the first use of a kind at once, and those after it together, once a minute.

    A process that is killed loses what it counted in its last minute, never that a credential was
    used at all. It is used on one event loop.
    """

    def __init__(self, threads: DatabaseThreads) -> None:
        self._threads = threads
        self._counts: Counter[CredentialUse] = Counter()
        self._writers: dict[CredentialUse, asyncio.Task[None]] = {}
        self._closing = asyncio.Event()

    def count(
        self, credential: LoadedCredential, kind: str, *, actor: str, subject: str, detail: str = ""
    ) -> None:
        """Count one use, or one refusal of it."""
        use = CredentialUse(credential.id, credential.name, kind, actor, subject, detail)
        self._counts[use] += 1
        if use not in self._writers:
            self._writers[use] = asyncio.create_task(self._write_on(use))

    async def close(self) -> None:
        """Write what was counted and not yet written."""
        self._closing.set()
        await asyncio.gather(*self._writers.values())

    async def _write_on(self, use: CredentialUse) -> None:
        while use in self._counts and (await self._write(use) or not self._closing.is_set()):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WINDOW_SECONDS):
                    await self._closing.wait()
        self._writers.pop(use, None)

    async def _write(self, use: CredentialUse) -> bool:
        """Return whether the count is written; what is not is written with the next."""
        count = self._counts.pop(use)
        try:
            await self._threads.run(partial(record_uses, use, count=count, used_at=timezone.now()))
        except DatabaseError as error:
            self._counts[use] += count
            logger.warning(
                "uses_not_recorded", credential=use.credential_name, error=str(error)[:300]
            )
            return False
        return True
