"""Medians over rounds, and tables of them as plain text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

# One round's figures: by kind of step, row and column of its table.
Key = tuple[str, str, str]


@dataclass
class Figures:
    """The figures of all rounds; what a round could not measure is left out."""

    values: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, column: str, rows: Mapping[str, float | None]) -> None:
        for row, value in rows.items():
            if value is not None:
                self.values[kind, row, column].append(value)

    def median(self, kind: str, row: str, column: str) -> float | None:
        found = self.values.get((kind, row, column))
        return median(found) if found else None

    def ratio(self, kind: str, row: str, columns: tuple[str, str]) -> float | None:
        """The median of each round's own ratio: what slowed a whole round down falls out."""
        above, below = (self.values.get((kind, row, column), []) for column in columns)
        if not above or len(above) != len(below):
            return None
        return median(a / b for a, b in zip(above, below, strict=True))


def table(figures: Figures, kind: str, *, rows: Iterable[str], columns: Sequence[str]) -> list[str]:
    """A table of medians; empty columns are left out."""
    rows = list(rows)
    shown = [c for c in columns if any(figures.median(kind, r, c) is not None for r in rows)]
    width = max(len(row) for row in rows)
    lines = [" " * width + "".join(f"{name:>20}" for name in shown)]
    lines += [
        f"{row:<{width}}"
        + "".join(f"{_text(figures.median(kind, row, column)):>20}" for column in shown)
        for row in rows
    ]
    return lines


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
