"""Keeps the workflows and versions that stand for what earlier executions recorded."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import Max

from integration_site.adoption.bulk_rows import existing_ids
from integration_site.adoption.conversion.executions import ACTOR
from integration_site.adoption.conversion.shapes_of_runs import RunShape
from workflows.models import (
    RetentionClass,
    Workflow,
    WorkflowStatus,
    WorkflowVersion,
    checksum_of,
)

MOST_SHAPES = 300
_DESCRIPTION = (
    "Executions of the earlier system. A retry runs '{}' with the input of the execution."
)


class RunVersions:
    """The versions that are stored, and those that the open batch needs."""

    def __init__(self) -> None:
        stored = WorkflowVersion.objects.filter(workflow__owner=ACTOR)
        self._stored = set(stored.values_list("pk", flat=True))
        self._new: dict[RunShape, Mapping[str, str]] = {}

    def has_room_for(self, shape: RunShape) -> bool:
        is_known = shape.version_id in self._stored or shape in self._new
        return is_known or len(self._stored) + len(self._new) < MOST_SHAPES

    def add(self, shape: RunShape, names: Mapping[str, str]) -> None:
        if shape.version_id not in self._stored:
            self._new.setdefault(shape, names)

    def store(self) -> None:
        """Store what is new, in the transaction of its executions."""
        for shape, names in self._new.items():
            self._ensure_workflow(shape)
            document = shape.document(names)
            version = WorkflowVersion.objects.create(
                id=shape.version_id,
                workflow_id=shape.workflow_id,
                number=_next_number(shape),
                steps=document["steps"],
                checksum=checksum_of(document),
            )
            workflows = Workflow.objects.filter(pk=shape.workflow_id)
            workflows.filter(current_version=None).update(current_version=version)
            self._stored.add(version.pk)
        self._new = {}

    @staticmethod
    def _ensure_workflow(shape: RunShape) -> None:
        if existing_ids(Workflow, [shape.workflow_id]):
            return
        name, number = shape.workflow_name, 1
        while Workflow.objects.find(name) is not None:
            number += 1
            name = f"{shape.workflow_name}-{number}"
        Workflow.objects.create(
            id=shape.workflow_id,
            name=name,
            description=_DESCRIPTION.format(shape.runs_again),
            type=shape.type,
            # Nobody is to start it, and nothing is to delete what is kept under it.
            status=WorkflowStatus.INACTIVE,
            retention=RetentionClass.FOREVER,
            owner=ACTOR,
        )


def _next_number(shape: RunShape) -> int:
    versions = WorkflowVersion.objects.filter(workflow_id=shape.workflow_id)
    return (versions.aggregate(last=Max("number"))["last"] or 0) + 1
