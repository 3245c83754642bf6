"""Medians over rounds, and tables of them in Markdown."""

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
        values = self.values.get((kind, row, column))
        return median(values) if values else None

    def ratio(self, kind: str, row: str, columns: tuple[str, str]) -> float | None:
        """Return the median of each round's own ratio: what slowed a whole round down falls out."""
        above, below = (self.values.get((kind, row, column), []) for column in columns)
        if not above or len(above) != len(below):
            return None
        return median(a / b for a, b in zip(above, below, strict=True))


def table(figures: Figures, kind: str, *, rows: Iterable[str], columns: Sequence[str]) -> list[str]:
    """Return a Markdown table of medians; empty columns are left out."""
    rows = list(rows)
    filled = [c for c in columns if any(figures.median(kind, r, c) is not None for r in rows)]
    cells = [[row, *(_text(figures.median(kind, row, c)) for c in filled)] for row in rows]
    return markdown_table(["", *filled], cells)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table with its columns in line: the first left, the others right."""
    widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]
    line = f"|{'-' * (widths[0] + 2)}|" + "".join(f"{'-' * (w + 1)}:|" for w in widths[1:])
    return [_line(head, widths), line, *(_line(row, widths) for row in rows)]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = f"{cells[0]:<{widths[0]}}"
    others = (f"{cell:>{width}}" for cell, width in zip(cells[1:], widths[1:], strict=True))
    return f"| {' | '.join((first, *others))} |"


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
