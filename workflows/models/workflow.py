"""Definitions of what runs across services, and their immutable versions."""

from __future__ import annotations

import hashlib
from typing import Any

from django.db import models

from core.db.json_fields import metadata_field, object_field, validate_list
from core.db.models import NamedQuerySet, ReferencedModel, TimestampedModel, name_constraint
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from core.json.equality import canonical_json


class WorkflowType(Vocabulary):
    """What a workflow is for; the mediator routes requests by it."""

    PROJECT_CREATION = "PROJECT_CREATION", "Project creation"
    PROJECT_PLANNING = "PROJECT_PLANNING", "Project planning"
    AGENT_TASK_EXECUTION = "AGENT_TASK_EXECUTION", "Agent task execution"
    HUMAN_INTERACTION = "HUMAN_INTERACTION", "Human interaction"
    TOOL_INTEGRATION = "TOOL_INTEGRATION", "Tool integration"
    MODEL_EVALUATION = "MODEL_EVALUATION", "Model evaluation"
    DATA_PROCESSING = "DATA_PROCESSING", "Data processing"
    CUSTOM = "CUSTOM", "Custom"


class WorkflowStatus(Vocabulary):
    """Whether a workflow may be started."""

    DRAFT = "DRAFT", "Draft"
    ACTIVE = "ACTIVE", "Active"
    INACTIVE = "INACTIVE", "Inactive"
    ARCHIVED = "ARCHIVED", "Archived"


class RetentionClass(Vocabulary):
    """How long the executions of a workflow are kept after their end."""

    DEFAULT = "DEFAULT", "As the hub says"
    SHORT = "SHORT", "Short"
    STANDARD = "STANDARD", "Standard"
    LONG = "LONG", "Long"
    FOREVER = "FOREVER", "For ever"


class WorkflowQuerySet(NamedQuerySet["Workflow"]):
    """Selections of workflows."""


class Workflow(ReferencedModel):
    """A named definition; what it says is in its current version."""

    type = EnumField(vocabulary=WorkflowType, default=WorkflowType.CUSTOM)
    status = EnumField(vocabulary=WorkflowStatus, max_length=20, default=WorkflowStatus.ACTIVE)
    current_version = models.ForeignKey(
        "WorkflowVersion", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    retention = EnumField(
        vocabulary=RetentionClass,
        max_length=20,
        default=RetentionClass.DEFAULT,
        db_default=RetentionClass.DEFAULT,
        help_text="How long its executions are kept after their end.",
    )
    metadata = metadata_field()
    owner = models.CharField(max_length=100, blank=True, default="")

    objects = WorkflowQuerySet.as_manager()

    class Meta:
        db_table = "workflow"
        ordering = ("name",)
        constraints = (
            enum_check("workflow", "type", WorkflowType),
            enum_check("workflow", "status", WorkflowStatus),
            enum_check("workflow", "retention", RetentionClass),
            name_constraint("workflow", "A workflow"),
        )
        indexes = (
            models.Index(fields=("status", "name"), name="workflow_status_name_idx"),
            models.Index(fields=("type", "status"), name="workflow_type_status_idx"),
        )


class WorkflowVersion(TimestampedModel):
    """What a workflow said at one time; executions keep the version that they started with."""

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    steps = models.JSONField(default=list, validators=[validate_list])
    options = object_field(help_text="Output, retry and timeout defaults of the definition.")
    bindings = object_field(
        editable=False, help_text="The ids of what its steps name, by kind and name."
    )
    checksum = models.CharField(max_length=64, editable=False)
    # Since when nobody may start it any more; executions that began go on.
    retired_at = models.DateTimeField(null=True, blank=True, editable=False)
    retired_by = models.CharField(
        max_length=150, blank=True, default="", db_default="", editable=False
    )
    retired_reason = models.CharField(
        max_length=500, blank=True, default="", db_default="", editable=False
    )

    class Meta:
        db_table = "workflow_version"
        ordering = ("workflow", "-number")
        constraints = (
            models.UniqueConstraint(
                fields=("workflow", "number"), name="workflow_version_workflow_number_key"
            ),
        )

    def __str__(self) -> str:
        return f"version {self.number}"

    @property
    def is_retired(self) -> bool:
        return self.retired_at is not None

    @property
    def document(self) -> dict[str, Any]:
        """The definition as its author wrote it."""
        return {**self.options, "steps": self.steps}


def checksum_of(document: dict[str, Any]) -> str:
    """Return a digest that is equal for definitions that differ only in the order of keys."""
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()
