"""The steps of an adoption, in their order, and what each is given (values)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo

from integration_site.adoption.conversion.values import Cells, key_text
from integration_site.adoption.findings import Notes, RowFinding
from integration_site.adoption.record import AdoptionRecord, StepRecord
from integration_site.adoption.shapes import Recognised
from integration_site.adoption.sources import SourceDatabase

Say = Callable[[str], None]


@dataclass(frozen=True)
class Adoption:
    """What is being taken: from where, of which tables, and where that is written down."""

    source: SourceDatabase
    record: AdoptionRecord
    tables: Sequence[Recognised]
    zone: tzinfo
    say: Say = field(default=lambda _: None)

    def of(self, kind: str) -> list[Recognised]:
        """Return the tables of a kind: one may be there in both numbers."""
        return [each for each in self.tables if each.kind.name == kind]

    def total(self, kind: str) -> int:
        return sum(each.table.rows for each in self.of(kind))

    def cells(self, kind: str, *, order: Sequence[str] = ()) -> Iterator[Cells]:
        """Yield the rows of a kind, ready to be read."""
        for each in self.of(kind):
            for row in self.source.rows(each.table, order=order or (each.kind.key, "id")):
                yield Cells(row, Notes(kind, key_text(row, each.kind.key)), self.zone)


@dataclass
class StepCounter:
    """Counts what a step did, and keeps what it found until that is stored."""

    step: StepRecord
    counts: dict[str, int] = field(default_factory=dict)
    findings: list[RowFinding] = field(default_factory=list)

    @classmethod
    def resume(cls, record: AdoptionRecord, name: str) -> StepCounter:
        step = record.step(name) or StepRecord(name)
        return cls(step, dict(step.counts))

    def add(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number

    def store(self, record: AdoptionRecord, *, state: str, last_key: str | None = None) -> None:
        """Write it down, in the transaction of what was done."""
        record.add_findings(self.step.name, self.findings)
        self.findings = []
        self.step = replace(
            self.step, state=state, last_key=last_key or self.step.last_key, counts=self.counts
        )
        record.save(self.step)
