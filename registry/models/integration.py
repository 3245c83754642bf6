"""Integrations, and what became of each time that one was executed."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import OuterRef, Q, Subquery, Value

from core.db.json_fields import CheckedJSONField, grant_field, metadata_field
from core.db.models import AppendedModel, NamedQuerySet, ReferencedModel, name_constraint
from core.db.names import validate_name
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from core.unknown_fields import UnknownFields
from registry.models.action import (
    HttpMethod,
    check_path_column,
    validate_path,
    validate_service_action,
)
from registry.models.connection import Connection
from registry.policies.integration_config import ERROR_AFTER, validate_config
from registry.policies.integration_mapping import (
    validate_request_mapping,
    validate_response_mapping,
)


class IntegrationType(Vocabulary):
    """The purposes of integrations."""

    SERVICE_CALL = "SERVICE_CALL", "Service call"
    WEBHOOK = "WEBHOOK", "Webhook"
    EVENT = "EVENT", "Event"
    DATA_SYNC = "DATA_SYNC", "Data sync"
    CUSTOM = "CUSTOM", "Custom"


class IntegrationStatus(Vocabulary):
    """Whether an integration may be executed; in ERROR it may, and failed too often in a row."""

    DRAFT = "DRAFT", "Draft"
    ACTIVE = "ACTIVE", "Active"
    INACTIVE = "INACTIVE", "Inactive"
    ERROR = "ERROR", "Error"


EXECUTABLE = (IntegrationStatus.ACTIVE, IntegrationStatus.ERROR)


class TargetKind(Vocabulary):
    """The kinds of targets that an integration calls."""

    SERVICE = "SERVICE", "Service"
    SERVICE_TYPE = "SERVICE_TYPE", "Service type"
    CONNECTION = "CONNECTION", "Connection"


class IntegrationQuerySet(NamedQuerySet["Integration"]):
    """Selections of integrations."""

    def with_parts(self) -> Self:
        """With the connection, and when each was executed last."""
        executions = IntegrationExecution.objects.filter(integration=OuterRef("pk"))
        latest = executions.order_by("-id").values("started_at")[:1]
        return self.select_related("connection").annotate(last_executed_at=Subquery(latest))

    def find(self, reference: str) -> Integration | None:
        """Return the integration of that id or, in any case, that name."""
        return NamedQuerySet.find(self.with_parts(), reference)


class Integration(ReferencedModel):
    """What one service asks of another, or of a connection, and how each understands the other.

    Services are named and not referred to: one that leaves and comes back has another id.
    """

    type = EnumField(vocabulary=IntegrationType, default=IntegrationType.SERVICE_CALL)
    status = EnumField(
        vocabulary=IntegrationStatus, max_length=20, default=IntegrationStatus.ACTIVE
    )
    source = models.CharField(
        max_length=100,
        blank=True,
        default="",
        validators=[validate_name],
        help_text="The name of the service that asks.",
    )
    target_kind = EnumField(vocabulary=TargetKind, max_length=20, default=TargetKind.SERVICE)
    target = models.CharField(
        max_length=100,
        blank=True,
        default="",
        help_text="The name of the service that is called, or its type.",
    )
    action = models.CharField(
        max_length=100,
        blank=True,
        default="",
        validators=[validate_service_action],
        help_text="What is called there: the name of an action, or GET /orders/{id}.",
    )
    connection = models.ForeignKey(
        Connection, on_delete=models.PROTECT, null=True, blank=True, related_name="integrations"
    )
    method = EnumField(vocabulary=HttpMethod, max_length=20, default=HttpMethod.POST)
    path = models.CharField(
        max_length=500,
        blank=True,
        default="",
        validators=[validate_path],
        help_text="Below the address of the connection, such as /contacts/{id}.",
    )
    request_mapping = CheckedJSONField(null=True, blank=True, validators=[validate_request_mapping])
    response_mapping = CheckedJSONField(
        null=True, blank=True, validators=[validate_response_mapping]
    )
    unknown_fields = EnumField(
        vocabulary=UnknownFields, max_length=20, default=UnknownFields.REJECT
    )
    config = CheckedJSONField(default=dict, blank=True, validators=[validate_config])
    metadata = metadata_field(db_default=Value({}, models.JSONField()))
    credential_grant = grant_field()

    failures_in_a_row = models.PositiveIntegerField(default=0, editable=False)
    last_error = models.CharField(max_length=1000, blank=True, default="", editable=False)

    objects = IntegrationQuerySet.as_manager()

    class Meta:
        db_table = "integration"
        ordering = ("name",)
        constraints = (
            enum_check("integration", "type", IntegrationType),
            enum_check("integration", "status", IntegrationStatus),
            enum_check("integration", "target_kind", TargetKind),
            enum_check("integration", "method", HttpMethod),
            enum_check("integration", "unknown_fields", UnknownFields),
            models.CheckConstraint(
                name="integration_connection_check",
                condition=~Q(target_kind="CONNECTION") | Q(connection__isnull=False),
            ),
            name_constraint("integration", "An integration"),
        )
        indexes = (
            models.Index(fields=("type", "status", "name"), name="integration_type_status_idx"),
            models.Index(fields=("status", "name"), name="integration_status_name_idx"),
        )

    def clean(self) -> None:
        check_path_column(self.path)

    @property
    def target_name(self) -> str:
        """The name of who is called."""
        if self.target_kind == TargetKind.CONNECTION:
            return self.connection.name if self.connection else ""
        return self.target

    @property
    def call(self) -> str:
        """The call at the target, in one text."""
        if self.target_kind == TargetKind.CONNECTION:
            return f"{self.method} {self.path or '/'}"
        return self.action

    @property
    def error_after(self) -> int:
        """The number of failures in a row that make it an ERROR."""
        return int(self.config.get("error_after", ERROR_AFTER))


class IntegrationOutcome(Vocabulary):
    """Outcomes of an execution; REFUSED is the caller's own, before anything was sent."""

    COMPLETED = "COMPLETED", "Completed"
    FAILED = "FAILED", "Failed"
    REFUSED = "REFUSED", "Refused"


class IntegrationExecution(AppendedModel):
    """One execution of an integration. What was sent and answered is not kept."""

    integration = models.ForeignKey(
        Integration, on_delete=models.CASCADE, related_name="executions", db_index=False
    )
    status = EnumField(vocabulary=IntegrationOutcome, max_length=20)
    actor = models.CharField(max_length=100, blank=True, default="")
    request_id = models.CharField(max_length=200, blank=True, default="")
    correlation_id = models.CharField(max_length=200, blank=True, default="")
    service = models.CharField(max_length=100, blank=True, default="")
    instance = models.CharField(max_length=500, blank=True, default="")
    upstream_status = models.PositiveIntegerField(null=True, blank=True)
    started_at = models.DateTimeField()
    duration_ms = models.FloatField(default=0)
    error = models.JSONField(null=True, blank=True)
    warnings = models.JSONField(default=list, blank=True)

    class Meta:
        db_table = "integration_execution"
        ordering = ("-id",)
        verbose_name = "integration execution"
        constraints = (enum_check("integration_execution", "status", IntegrationOutcome),)
        indexes = (
            models.Index(fields=("integration", "-id"), name="integration_execution_row_idx"),
            models.Index(fields=("created_at",), name="integration_execution_age_idx"),
        )

    def __str__(self) -> str:
        return f"{self.integration_id} {self.status.lower()}"
