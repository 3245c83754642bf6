"""Compares two versions of a workflow."""

from __future__ import annotations

from dataclasses import dataclass

from core.exceptions import NotFound
from workflows.definition.diff import Comparison, compare
from workflows.models import Workflow, WorkflowVersion


@dataclass(frozen=True)
class ComparedVersions:
    """Two versions of one workflow, and how the second differs from the first."""

    before: WorkflowVersion
    after: WorkflowVersion
    comparison: Comparison


def compare_versions(workflow: Workflow, first: int, second: int) -> ComparedVersions:
    """Return how version `second` differs from version `first`.

    Raises:
        NotFound: the workflow has no such version.
    """
    versions = {v.number: v for v in workflow.versions.filter(number__in=(first, second))}
    for number in (first, second):
        if number not in versions:
            raise NotFound(f"The workflow '{workflow.name}' has no version {number}.")
    before, after = versions[first], versions[second]
    return ComparedVersions(before, after, compare(before.document, after.document))
