"""The executions that a check reads, and the violations that it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from workflows.definition import Definition
from workflows.definition_cache import readable_definition
from workflows.models import WorkflowExecution, WorkflowStep, WorkflowVersion

MEANINGS: Mapping[str, str] = {
    "I1": "A result was recorded twice.",
    "I2": "Nothing will ever find this: the execution stands still.",
    "I3": "The history is not whole.",
    "I4": "An accepted execution did not come to a proper end.",
    "I5": "A receiver cannot tell that a call is a repetition.",
    "I6": "A holder wrote after its claim had been taken away.",
    "I7": "A step was tried more often than its policy allows.",
    "I8": "A secret came out.",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise: of which execution, where in it, and what was found."""

    invariant: str
    execution: str
    place: str
    found: str

    def as_json(self) -> dict[str, str]:
        """For programs; `meaning` is the same for all of an invariant."""
        return {**asdict(self), "meaning": MEANINGS[self.invariant]}

    def __str__(self) -> str:
        where = " ".join(part for part in (self.execution, self.place) if part)
        return f"{self.invariant} {where}: {self.found}"


@dataclass(frozen=True)
class Page:
    """Some executions, read in one transaction. `now` is the database's time."""

    ids: list[Any]
    now: datetime
    definitions: dict[Any, Definition | None] = field(default_factory=dict)

    @property
    def executions(self) -> QuerySet[WorkflowExecution]:
        return WorkflowExecution.objects.filter(id__in=self.ids).order_by()

    @property
    def steps(self) -> QuerySet[WorkflowStep]:
        return WorkflowStep.objects.filter(execution_id__in=self.ids).order_by()

    def definition(self, version_id: Any) -> Definition | None:
        """Return the definition of a version, kept between pages; None if it cannot be read."""
        if version_id not in self.definitions:
            version = WorkflowVersion.objects.filter(pk=version_id).first()
            self.definitions[version_id] = readable_definition(version)
        return self.definitions[version_id]
