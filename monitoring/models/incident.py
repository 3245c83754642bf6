"""Incidents: something is wrong until it is resolved, by itself or by a person."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Q

from core.db.models import AppendedModel
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from registry.models import Service


class IncidentStatus(Vocabulary):
    """The stages of an incident: seen by nobody, seen by somebody, over."""

    OPEN = "OPEN", "Open"
    ACKNOWLEDGED = "ACKNOWLEDGED", "Acknowledged"
    RESOLVED = "RESOLVED", "Resolved"


class Severity(Vocabulary):
    """The severities of incidents."""

    WARNING = "WARNING", "Warning"
    CRITICAL = "CRITICAL", "Critical"


class Subject(Vocabulary):
    """The subjects of incidents."""

    MASS_EXPIRY = "MASS_EXPIRY", "Many instances fell silent at once"
    DISCOVERY_BACKEND = "DISCOVERY_BACKEND", "The discovery backend does not answer"
    SERVICE_DOWN = "SERVICE_DOWN", "Service down"
    SERVICE_DEGRADED = "SERVICE_DEGRADED", "Service degraded"
    CIRCUIT_OPEN = "CIRCUIT_OPEN", "Circuit open"
    CONNECTION_ERROR = "CONNECTION_ERROR", "Connection failing"
    CREDENTIAL_EXPIRY = "CREDENTIAL_EXPIRY", "Credential ends"
    SCHEDULE_FAILED = "SCHEDULE_FAILED", "Scheduled run failed"
    NEEDS_REVIEW = "NEEDS_REVIEW", "Executions need a person"
    CHANNEL_FAILING = "CHANNEL_FAILING", "Alert channel failing"


UNRESOLVED = (IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED)


class IncidentQuerySet(models.QuerySet["Incident"]):
    """Selections of incidents."""

    def unresolved(self) -> Self:
        return self.filter(status__in=UNRESOLVED)


class Incident(AppendedModel):
    """Something that is wrong, or was; of each `dedup_key` at most one is unresolved.

    `about` names what it is about, empty where that is the hub or the fleet.
    """

    subject = EnumField(vocabulary=Subject)
    about = models.CharField(max_length=200, blank=True, default="", db_default="")
    dedup_key = models.CharField(max_length=300, db_default="")
    service = models.ForeignKey(
        Service, on_delete=models.SET_NULL, null=True, blank=True, related_name="incidents"
    )
    severity = EnumField(vocabulary=Severity, max_length=20, default=Severity.WARNING)
    status = EnumField(vocabulary=IncidentStatus, max_length=20, default=IncidentStatus.OPEN)
    cause = models.CharField(max_length=1000)
    opened_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=100, blank=True, default="")
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.CharField(max_length=100, blank=True, default="")
    resolution = models.CharField(max_length=500, blank=True, default="")
    # How often it came back soon after its end: that is one outage, and told as one.
    reopened_count = models.PositiveIntegerField(default=0, db_default=0)

    objects = IncidentQuerySet.as_manager()

    class Meta:
        db_table = "incident"
        ordering = ("-opened_at",)
        constraints = (
            enum_check("incident", "subject", Subject),
            enum_check("incident", "severity", Severity),
            enum_check("incident", "status", IncidentStatus),
            models.UniqueConstraint(
                fields=("dedup_key",),
                condition=Q(status__in=("OPEN", "ACKNOWLEDGED")),
                name="incident_one_unresolved_key",
            ),
        )
        indexes = (
            models.Index(fields=("status", "opened_at"), name="incident_status_idx"),
            models.Index(fields=("dedup_key", "resolved_at"), name="incident_key_idx"),
        )

    def __str__(self) -> str:
        subject = str(self.get_subject_display())
        return f"{subject}: {self.about}" if self.about else subject

    @property
    def is_resolved(self) -> bool:
        return self.status == IncidentStatus.RESOLVED

    @property
    def asks_about_suspects(self) -> bool:
        """Whether a person may decide what becomes of the suspects."""
        return self.subject == Subject.MASS_EXPIRY and not self.is_resolved
