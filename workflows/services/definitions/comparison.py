"""Compares two versions of a workflow."""

from __future__ import annotations

from dataclasses import dataclass

from workflows.definition.diff import Comparison, compare
from workflows.models import Workflow, WorkflowVersion
from workflows.services.definitions.lifecycle import get_version


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
    before, after = get_version(workflow, first), get_version(workflow, second)
    return ComparedVersions(before, after, compare(before.document, after.document))
