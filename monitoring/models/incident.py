"""Incidents: something is wrong until it is resolved, by itself or by a person."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q

from core.db.models import AppendedModel
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from core.models.audit import MAX_ACTOR
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
    NO_WORKER = "NO_WORKER", "No worker runs"
    BACKLOG = "BACKLOG", "Steps wait for too long"
    EXECUTIONS_STUCK = "EXECUTIONS_STUCK", "Executions are stuck"
    CHECK_FAILING = "CHECK_FAILING", "Check failing"
    CHECK_FLAPPING = "CHECK_FLAPPING", "Check flapping"
    CERTIFICATE_EXPIRY = "CERTIFICATE_EXPIRY", "Certificate ends"
    CHECKS_BLIND = "CHECKS_BLIND", "Checks cannot see"
    CHANNEL_FAILING = "CHANNEL_FAILING", "Alert channel failing"
    BUDGET_BURNING = "BUDGET_BURNING", "Objective in danger"
    MODEL_BUDGET = "MODEL_BUDGET", "Budget for models used"
    MANUAL = "MANUAL", "Opened by hand"


class Impact(Vocabulary):
    """How much of it those notice who use what is concerned."""

    NONE = "NONE", "None"
    MINOR = "MINOR", "Minor"
    MAJOR = "MAJOR", "Major"
    CRITICAL = "CRITICAL", "Critical"


class PageStatus(Vocabulary):
    """How far it is, in the words of status pages."""

    INVESTIGATING = "INVESTIGATING", "Investigating"
    IDENTIFIED = "IDENTIFIED", "Identified"
    MONITORING = "MONITORING", "Monitoring"
    RESOLVED = "RESOLVED", "Resolved"
    POSTMORTEM = "POSTMORTEM", "Post-mortem"


class UpdateKind(Vocabulary):
    """What an entry in the timeline of an incident is about."""

    STATUS = "STATUS", "Status"
    NOTE = "NOTE", "Note"
    ACK = "ACK", "Seen to"
    ESCALATION = "ESCALATION", "Escalated"
    DELIVERY = "DELIVERY", "Told"
    LINK = "LINK", "Linked"


class Suppression(Vocabulary):
    """Why nobody is told of an incident that is open."""

    MAINTENANCE = "MAINTENANCE", "Maintenance"
    DEPENDENCY = "DEPENDENCY", "What it depends on is down"
    MASS = "MASS", "Many at once"
    SILENCE = "SILENCE", "Silenced"


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
    acknowledged_until = models.DateTimeField(null=True, blank=True)
    # Since when nobody sees to it, where that is not since it opened.
    unattended_since = models.DateTimeField(null=True, blank=True)
    assigned_to = models.CharField(max_length=MAX_ACTOR, blank=True, default="", db_default="")
    opened_by = models.CharField(max_length=MAX_ACTOR, blank=True, default="", db_default="")
    impact = EnumField(
        vocabulary=Impact, max_length=20, default=Impact.NONE, db_default=Impact.NONE
    )
    # What a status page calls it; the words of the hub name what nobody outside is to read.
    title = models.CharField(max_length=200, blank=True, default="", db_default="")
    public = models.BooleanField(default=False, db_default=False)
    page_status = EnumField(
        vocabulary=PageStatus, max_length=20, blank=True, default="", db_default=""
    )
    merged_into = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="merged"
    )
    suppressed_reason = EnumField(
        vocabulary=Suppression, max_length=20, blank=True, default="", db_default=""
    )
    suppressed_by = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="suppressed"
    )
    # Nobody is told of it before, and the group wait begins then.
    hold_until = models.DateTimeField(null=True, blank=True)
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
            enum_check("incident", "impact", Impact),
            enum_check("incident", "page_status", PageStatus, blank=True),
            enum_check("incident", "suppressed_reason", Suppression, blank=True),
            models.UniqueConstraint(
                fields=("dedup_key",),
                condition=Q(status__in=("OPEN", "ACKNOWLEDGED")),
                name="incident_one_unresolved_key",
            ),
        )
        indexes = (
            models.Index(fields=("status", "opened_at"), name="incident_status_idx"),
            models.Index(fields=("dedup_key", "resolved_at"), name="incident_key_idx"),
            models.Index(
                fields=("opened_at",), name="incident_public_idx", condition=Q(public=True)
            ),
        )

    def __str__(self) -> str:
        if self.title and self.subject == Subject.MANUAL:
            return self.title
        subject = str(self.get_subject_display())
        return f"{subject}: {self.about}" if self.about else subject

    @property
    def is_resolved(self) -> bool:
        return self.status == IncidentStatus.RESOLVED

    @property
    def nobodys_since(self) -> datetime:
        """Return since when nobody sees to it."""
        return self.unattended_since or self.opened_at

    @property
    def asks_about_suspects(self) -> bool:
        """Whether a person may decide what becomes of the suspects."""
        return self.subject == Subject.MASS_EXPIRY and not self.is_resolved


class IncidentUpdate(AppendedModel):
    """An entry in the timeline of an incident: what changed, what somebody says, who was told.

    A `public` one is shown on status pages; it has a `page_status` where it says how far it is.
    """

    incident = models.ForeignKey(
        Incident, on_delete=models.CASCADE, related_name="updates", db_index=False
    )
    kind = EnumField(vocabulary=UpdateKind, max_length=20)
    page_status = EnumField(
        vocabulary=PageStatus, max_length=20, blank=True, default="", db_default=""
    )
    text = models.TextField(blank=True, default="")
    actor = models.CharField(max_length=MAX_ACTOR, blank=True, default="", db_default="")
    public = models.BooleanField(default=False, db_default=False)
    at = models.DateTimeField()

    class Meta:
        db_table = "incident_update"
        ordering = ("at", "id")
        constraints = (
            enum_check("incident_update", "kind", UpdateKind),
            enum_check("incident_update", "page_status", PageStatus, blank=True),
        )
        indexes = (models.Index(fields=("incident", "at"), name="incident_update_idx"),)

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.text}"[:200]
