"""Incidents: something is wrong until it is resolved, by itself or by a person."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Q

from core.db.models import AppendedModel
from core.db.vocabulary import EnumField, Vocabulary, enum_check


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


UNRESOLVED = (IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED)


class IncidentQuerySet(models.QuerySet["Incident"]):
    """Selections of incidents."""

    def unresolved(self) -> Self:
        return self.filter(status__in=UNRESOLVED)


class Incident(AppendedModel):
    """Something that is wrong, or was; of each subject at most one is unresolved."""

    subject = EnumField(vocabulary=Subject)
    severity = EnumField(vocabulary=Severity, max_length=20, default=Severity.WARNING)
    status = EnumField(vocabulary=IncidentStatus, max_length=20, default=IncidentStatus.OPEN)
    cause = models.CharField(max_length=1000)
    opened_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=100, blank=True, default="")
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.CharField(max_length=100, blank=True, default="")
    resolution = models.CharField(max_length=500, blank=True, default="")

    objects = IncidentQuerySet.as_manager()

    class Meta:
        db_table = "incident"
        ordering = ("-opened_at",)
        constraints = (
            enum_check("incident", "subject", Subject),
            enum_check("incident", "severity", Severity),
            enum_check("incident", "status", IncidentStatus),
            models.UniqueConstraint(
                fields=("subject",),
                condition=Q(status__in=("OPEN", "ACKNOWLEDGED")),
                name="incident_one_unresolved_key",
            ),
        )
        indexes = (models.Index(fields=("status", "opened_at"), name="incident_status_idx"),)

    def __str__(self) -> str:
        return str(self.get_subject_display())

    @property
    def is_resolved(self) -> bool:
        return self.status == IncidentStatus.RESOLVED

    @property
    def asks_about_suspects(self) -> bool:
        """Whether a person may decide what becomes of the suspects."""
        return self.subject == Subject.MASS_EXPIRY and not self.is_resolved
