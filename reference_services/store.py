"""Keeps the JSON documents of a service, and its answers to idempotency keys."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

JsonObject = dict[str, Any]

ANSWERS_KEPT_SECONDS = 86_400
_SCHEMA = """
CREATE TABLE IF NOT EXISTS document (
    kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS recorded_answer (
    action TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, body TEXT NOT NULL,
    recorded_at REAL NOT NULL, PRIMARY KEY (action, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS recorded_answer_age ON recorded_answer (recorded_at);
"""


class ServiceStore:
    """One SQLite file. Used from the event loop's thread only."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=10, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)
        self._forget_old_answers()

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep everything inside, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def is_healthy(self) -> bool:
        try:
            self._db.execute("SELECT 1 FROM document LIMIT 1").fetchone()
        except sqlite3.Error:
            return False
        return True

    def get(self, kind: str, document_id: str) -> JsonObject | None:
        query = "SELECT body FROM document WHERE kind = ? AND id = ?"
        row = self._db.execute(query, (kind, document_id)).fetchone()
        return cast(JsonObject, json.loads(row[0])) if row else None

    def put(self, kind: str, document_id: str, document: JsonObject) -> None:
        self._db.execute(
            "INSERT INTO document (kind, id, body) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            (kind, document_id, json.dumps(document)),
        )

    def count(self, kind: str) -> int:
        row = self._db.execute("SELECT count(*) FROM document WHERE kind = ?", (kind,)).fetchone()
        return int(row[0])

    def recorded_answer(self, *, action: str, key: str) -> tuple[str, Any] | None:
        """Return the fingerprint of the request that first came with this key, and its answer."""
        query = "SELECT fingerprint, body FROM recorded_answer WHERE action = ? AND key = ?"
        row = self._db.execute(query, (action, key)).fetchone()
        return (row[0], json.loads(row[1])) if row else None

    def record_answer(self, *, action: str, key: str, fingerprint: str, answer: Any) -> None:
        self._db.execute(
            "INSERT INTO recorded_answer (action, key, fingerprint, body, recorded_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (action, key, fingerprint, json.dumps(answer), time.time()),
        )

    def _forget_old_answers(self) -> None:
        oldest = time.time() - ANSWERS_KEPT_SECONDS
        self._db.execute("DELETE FROM recorded_answer WHERE recorded_at < ?", (oldest,))
