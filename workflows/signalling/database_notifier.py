"""Hints of ready rows by the database itself, for a hub without Redis."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import DatabaseError, connection

from core.db.file_changes import FileChanges
from core.db.pipeline import has_own_session
from core.json import strict
from workflows.signalling.notifier import LISTEN_SECONDS, NotifierError

READY = "workflow_steps_ready"
# Where nothing can be heard, a worker looks so often.
LOOK_SECONDS = 0.1
# To see whether SQLite's file has changed takes some microseconds.
SEE_SECONDS = 0.02


class PostgresNotifier:
    """LISTEN and NOTIFY: every worker hears of ready rows, and whoever comes first claims them.

    Behind a pooler that lends its sessions out nothing is heard: there a worker looks.
    """

    # Sending is a statement of its own, on a connection of the thread that sends.
    tells_in_haste = False

    def __init__(self) -> None:
        self._listener: Any = None
        self._hears = True

    def tell_ready(self, step_ids: Sequence[str], *, in_haste: bool = False) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_notify(%s, %s)", [READY, json.dumps(list(step_ids))])
        except DatabaseError as error:
            raise NotifierError(str(error)) from error
        finally:
            connection.close()

    def hear_ready(self) -> list[str] | None:
        try:
            if self._listener is None:
                self._listen()
                return []  # What was told before is heard by nobody.
            if not self._hears:
                time.sleep(LOOK_SECONDS)
                return []
            notices = list(self._listener.notifies(timeout=LISTEN_SECONDS, stop_after=1))
        except psycopg.Error as error:
            self._forget_listener()
            raise NotifierError(str(error)) from error
        return [step_id for notice in notices for step_id in strict.parse(notice.payload)] or None

    def _listen(self) -> None:
        params = connection.get_connection_params()
        self._listener = psycopg.connect(**params, autocommit=True)
        self._hears = has_own_session(self._listener)
        if self._hears:
            self._listener.execute(f"LISTEN {READY}")

    def _forget_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None


class SqliteNotifier:
    """Nothing is told: SQLite knows by itself whether another connection has changed the file."""

    tells_in_haste = True

    def __init__(self) -> None:
        self._file = FileChanges()

    def tell_ready(self, step_ids: Sequence[str], *, in_haste: bool = False) -> None:
        """Tell nobody: workers see that the file changed."""

    def hear_ready(self) -> list[str] | None:
        """Wait a moment; whatever is due is to be looked for if anybody has written meanwhile."""
        time.sleep(SEE_SECONDS)
        try:
            return [] if self._file.are_new() else None
        except DatabaseError as error:
            connection.close()
            raise NotifierError(str(error)) from error
