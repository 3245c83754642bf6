"""Validates a workflow definition: all errors at once, each at its path, and warnings.

Besides the form of the document (`workflows.definition`) this looks at the graph of its steps, at
what its expressions refer to, and at the actions and workflows that a directory knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.suggestions import few_suggestions
from workflows.definition import Findings, read
from workflows.validation.bounds import warn_of_crossed_bounds
from workflows.validation.graph import StepGraph, check_graph, torn_lists
from workflows.validation.outputs import warn_of_unknown_outputs
from workflows.validation.references import check_references, uses_of
from workflows.validation.references_lookup import (
    ActionInfo,
    ActionNotFoundError,
    Directory,
    UnknownTypeError,
    look_up_actions,
    look_up_people,
    look_up_workflows,
)

__all__ = [
    "ActionInfo",
    "ActionNotFoundError",
    "Directory",
    "UnknownTypeError",
    "Validation",
    "validate",
]


@dataclass(frozen=True, slots=True)
class Validation:
    """What is wrong with a definition, by path, and what may be meant otherwise."""

    errors: dict[str, list[str]]
    warnings: list[str]

    @property
    def valid(self) -> bool:
        """Return whether the definition can be used."""
        return not self.errors


def validate(
    document: Any,
    *,
    directory: Directory | None,
    draft: bool = False,
    name: str | None = None,
) -> Validation:
    """Check a definition's document. Never raises, whatever JSON it is given.

    Without a directory, services, actions and workflows are not looked up; for a draft, missing
    ones and inputs that do not fit are warnings. That no service of a type is there now is always a
    warning. `name` is the workflow's own, which its steps may run though it is not stored yet.
    """
    with few_suggestions():
        return _validate(document, directory, draft=draft, name=name)


def _validate(
    document: Any, directory: Directory | None, *, draft: bool, name: str | None
) -> Validation:
    reading = read(document)
    findings = Findings(reading.errors, reading.warnings)
    if reading.definition is not None:
        graph = StepGraph(reading.definition)
        graph.torn = torn_lists(reading.definition, reading.paths, findings.errors.keys())
        check_graph(graph, reading.paths, findings)
        uses = list(uses_of(reading.definition, reading.paths))
        check_references(uses, graph, findings)
        warn_of_crossed_bounds(reading.definition, reading.paths, findings)
        report = findings.doubt if draft else findings.refuse
        actions: dict[str, ActionInfo] = {}
        if directory is not None:
            actions = look_up_actions(reading, directory, findings, report)
            look_up_workflows(reading, directory, report, own_name=name)
            look_up_people(reading, directory, findings)
        warn_of_unknown_outputs(uses, graph, actions, findings)
    return Validation(findings.errors, findings.warnings)
