"""Maintenance that is planned, recurs or is called for at once, and the times it comes to."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from core.db.json_fields import CheckedJSONField, validate_strings
from core.db.models import AppendedModel, NamedModel, NamedQuerySet, name_constraint
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from core.models.audit import MAX_ACTOR

LONGEST_MINUTES = 7 * 24 * 60


class WindowStatus(Vocabulary):
    """The stages of a window; one that recurs is SCHEDULED again between its times."""

    SCHEDULED = "SCHEDULED", "Scheduled"
    IN_PROGRESS = "IN_PROGRESS", "In progress"
    COMPLETED = "COMPLETED", "Completed"
    CANCELLED = "CANCELLED", "Cancelled"


class OccurrenceState(Vocabulary):
    """What was told of one time of a window."""

    SCHEDULED = "SCHEDULED", "Scheduled"
    IN_PROGRESS = "IN_PROGRESS", "In progress"
    COMPLETED = "COMPLETED", "Completed"


class MaintenanceWindowQuerySet(NamedQuerySet["MaintenanceWindow"]):
    """Selections of windows."""


class MaintenanceWindow(NamedModel):
    """A time in which things are worked on: checked as ever, marked, and nobody is called.

    It is either once (`starts_at`, `ends_at`) or recurs (`cron` in `timezone`, `duration_minutes`,
    from `starts_at` until `ends_at` where given). Its status is what was told last; whether it is
    maintenance now, its occurrences say.
    """

    services = CheckedJSONField(
        default=list,
        blank=True,
        validators=[validate_strings],
        help_text="Names of services, such as pay-*.",
    )
    tags = CheckedJSONField(
        default=list,
        blank=True,
        validators=[validate_strings],
        help_text="Services with one of these tags.",
    )
    types = CheckedJSONField(
        default=list,
        blank=True,
        validators=[validate_strings],
        help_text="Services of one of these types.",
    )
    everything = models.BooleanField(default=False, help_text="Every service, and the hub itself.")
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    cron = models.CharField(max_length=100, blank=True, default="")
    duration_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_MINUTES)],
    )
    timezone = models.CharField(max_length=64, blank=True, default="UTC")
    status = EnumField(
        vocabulary=WindowStatus,
        max_length=20,
        default=WindowStatus.SCHEDULED,
        editable=False,
    )
    suppress_alerts = models.BooleanField(default=True, help_text="Nobody is called meanwhile.")
    public = models.BooleanField(default=False, help_text="Shown on status pages.")
    created_by = models.CharField(max_length=MAX_ACTOR, blank=True, default="", editable=False)

    objects = MaintenanceWindowQuerySet.as_manager()

    class Meta:
        db_table = "maintenance_window"
        verbose_name = "maintenance window"
        ordering = ("name",)
        constraints = (
            enum_check("maintenance_window", "status", WindowStatus),
            name_constraint("maintenance_window", "A maintenance window"),
        )
        indexes = (models.Index(fields=("status",), name="maintenance_window_status_idx"),)

    @property
    def recurs(self) -> bool:
        return bool(self.cron)


class MaintenanceOccurrenceQuerySet(models.QuerySet["MaintenanceOccurrence"]):
    """Selections of occurrences."""


class MaintenanceOccurrence(AppendedModel):
    """One time of a window, in UTC; those of a window that recurs are made ahead."""

    window = models.ForeignKey(
        MaintenanceWindow, on_delete=models.CASCADE, related_name="occurrences", db_index=False
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    state = EnumField(vocabulary=OccurrenceState, max_length=20, default=OccurrenceState.SCHEDULED)
    # Where the rule put it: one that was begun early or cut short is not made anew.
    planned_at = models.DateTimeField()

    objects = MaintenanceOccurrenceQuerySet.as_manager()

    class Meta:
        db_table = "maintenance_occurrence"
        ordering = ("starts_at", "id")
        constraints = (
            enum_check("maintenance_occurrence", "state", OccurrenceState),
            models.UniqueConstraint(
                fields=("window", "planned_at"), name="maintenance_occurrence_key"
            ),
            models.CheckConstraint(
                name="maintenance_occurrence_times_check",
                condition=Q(ends_at__gte=F("starts_at")),
            ),
        )
        indexes = (
            models.Index(fields=("ends_at", "starts_at"), name="maintenance_occurrence_idx"),
        )

    def __str__(self) -> str:
        return f"{self.window_id} from {self.starts_at:%Y-%m-%d %H:%M} UTC"
