"""One transaction of a worker's store: who writes, when, and by which cursor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.db.pipeline import prepared_cursor
from workflows.engine.store.dialect import Dialect


@dataclass(slots=True)
class Transaction:
    """Sends statements whose parameters have names; `stamp` is always the time of writing."""

    dialect: Dialect
    cursor: Any
    owner: str
    lease: timedelta
    now: datetime

    def execute(self, sql: str, **params: Any) -> Any:
        """Send a statement; return the cursor, which the next statement uses too."""
        self.cursor.execute(sql, {"stamp": self.stamp(), **params})
        return self.cursor

    def send(self, sql: str, **params: Any) -> Any:
        """Send a statement; return a cursor of its own, to be read once others are sent too."""
        cursor = prepared_cursor()
        cursor.execute(sql, {"stamp": self.stamp(), **params})
        return cursor

    def stamp(self) -> Any:
        """Return the time of writing as the driver takes it."""
        return self.dialect.time(self.now)

    def lease_end(self) -> Any:
        """Return when what is claimed or renewed now may be given to others."""
        return self.dialect.time(self.now + self.lease)
