"""What could not be taken as it was: a value that was mended, or a row that was left (values)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MENDED, LEFT = "MENDED", "LEFT"
LONGEST_KEY, LONGEST_REASON = 200, 500


@dataclass(frozen=True)
class RowFinding:
    """One value or row of a table: by its key, what was done, and why."""

    table: str
    key: str
    column: str
    verdict: str
    reason: str


class Notes:
    """Collects the findings of one row."""

    def __init__(self, table: str, key: str) -> None:
        self.table, self.key = table, key[:LONGEST_KEY]
        self.findings: list[RowFinding] = []

    def mended(self, column: str, reason: str) -> None:
        self._add(column, MENDED, reason)

    def left(self, reason: str, column: str = "") -> None:
        self._add(column, LEFT, reason)

    def _add(self, column: str, verdict: str, reason: str) -> None:
        text = reason.replace("\x00", "\ufffd")[:LONGEST_REASON]
        key = self.key.replace("\x00", "\ufffd")
        self.findings.append(RowFinding(self.table, key, column, verdict, text))

    def __iter__(self) -> Iterator[RowFinding]:
        return iter(self.findings)
