"""How much of a time something could be used: the one definition of uptime (pure).

It is weighted by time, not by how often somebody looked. What nobody observed leaves both sides of
the fraction, and is told beside it as coverage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from core.db.vocabulary import Vocabulary

Span = tuple[datetime, datetime]
Since = tuple[datetime, str]

UP = ("ONLINE", "DEGRADED")
DOWN = ("OFFLINE",)
MAINTENANCE = "MAINTENANCE"
# Below this much of the time, in percent, a figure is told as one of partial data.
WHOLE_COVERAGE = 90.0


class MaintenancePolicy(Vocabulary):
    """What the time under maintenance counts as."""

    EXCLUDE = "EXCLUDE", "Left out"
    COUNT_UP = "COUNT_UP", "Up"
    COUNT_AS_IS = "COUNT_AS_IS", "As it was"


@dataclass(frozen=True, slots=True)
class Parts:
    """The seconds of a time, by what was so in them; parts of times one after another add up.

    `maintenance_up` and `maintenance_down` are under maintenance, by how it was meanwhile. Where
    that is not known, because the status itself was MAINTENANCE, it could not be used: down.
    """

    up: float = 0.0
    down: float = 0.0
    maintenance_up: float = 0.0
    maintenance_down: float = 0.0
    unknown: float = 0.0

    def __add__(self, other: Self) -> Self:
        # Written out: pages add up thousands of them.
        return type(self)(
            self.up + other.up,
            self.down + other.down,
            self.maintenance_up + other.maintenance_up,
            self.maintenance_down + other.maintenance_down,
            self.unknown + other.unknown,
        )

    @property
    def maintenance(self) -> float:
        return self.maintenance_up + self.maintenance_down

    @property
    def observed(self) -> float:
        return self.up + self.down + self.maintenance

    @property
    def seconds(self) -> float:
        return self.observed + self.unknown

    @property
    def coverage(self) -> float:
        """The observed share of the time, in percent."""
        return round(self.observed / self.seconds * 100, 2) if self.seconds else 0.0

    def counted(self, policy: str = MaintenancePolicy.EXCLUDE) -> tuple[float, float]:
        """Return the seconds that count as up, and those that count as down."""
        if policy == MaintenancePolicy.COUNT_UP:
            return self.up + self.maintenance, self.down
        if policy == MaintenancePolicy.COUNT_AS_IS:
            return self.up + self.maintenance_up, self.down + self.maintenance_down
        return self.up, self.down

    def percent(self, policy: str = MaintenancePolicy.EXCLUDE) -> float | None:
        """Return the uptime; None where nothing counts. What was down is never told as 100."""
        up, down = self.counted(policy)
        if not up + down:
            return None
        percent = round(up / (up + down) * 100, 3)
        return min(percent, 99.999) if down else percent


def measure(
    changes: Sequence[Since],
    *,
    start: datetime,
    end: datetime,
    gaps: Iterable[Span] = (),
    windows: Iterable[Span] = (),
) -> Parts:
    """Return the parts of [start, end], from the statuses in force from each instant on.

    In `gaps` nobody looked, and `windows` are maintenance of which the status does not tell; both
    may overlap. What is before the first change is unknown too.
    """
    if end <= start:
        return Parts()
    marks: list[tuple[datetime, str, str | int]] = [(at, "status", word) for at, word in changes]
    for kind, spans in (("gap", gaps), ("window", windows)):
        for at, until in spans:
            marks += [(at, kind, 1), (until, kind, -1)]
    marks.sort(key=lambda mark: mark[0])
    now: dict[str, int] = {"gap": 0, "window": 0}
    status, at, sums = "", start, dict.fromkeys(Parts.__slots__, 0.0)
    for moment, kind, value in [*marks, (end, "gap", 0)]:
        moment = min(max(moment, start), end)
        part = _part_of(status, unseen=now["gap"] > 0, planned=now["window"] > 0)
        sums[part] += (moment - at).total_seconds()
        at = moment
        if isinstance(value, str):
            status = value
        else:
            now[kind] += value
    return Parts(**sums)


def _part_of(status: str, *, unseen: bool, planned: bool) -> str:
    if unseen or status not in (*UP, *DOWN, MAINTENANCE):
        return "unknown"
    if status == MAINTENANCE:
        return "maintenance_down"
    word = "up" if status in UP else "down"
    return f"maintenance_{word}" if planned else word
