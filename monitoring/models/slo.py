"""Objectives: how much of what a service is asked should be answered well, and what was."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from core.db.models import AppendedModel, NamedModel, NamedQuerySet, name_constraint
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from registry.models import Service


class SloKind(Vocabulary):
    """What makes an answer good."""

    AVAILABILITY = "AVAILABILITY", "It came, and was well"
    LATENCY = "LATENCY", "It was well, and came in time"


class SloSource(Vocabulary):
    """What counts."""

    LOOKS = "LOOKS", "Looks at the service"
    CALLS = "CALLS", "Calls that the hub made"
    BOTH = "BOTH", "Looks and calls"


class SloQuerySet(NamedQuerySet["Slo"]):
    """Selections of objectives."""


class Slo(NamedModel):
    """An objective: `target` percent of what a service is asked over `window_days` are good.

    With an `action`, only calls of that count among calls.
    """

    part_of = "service"

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="slos")
    kind = EnumField(vocabulary=SloKind, max_length=20, default=SloKind.AVAILABILITY)
    source = EnumField(
        vocabulary=SloSource, max_length=20, default=SloSource.LOOKS, db_default=SloSource.LOOKS
    )
    action = models.CharField(max_length=100, blank=True, default="", db_default="")
    target = models.FloatField(
        default=99.9, validators=[MinValueValidator(50), MaxValueValidator(99.999)]
    )
    window_days = models.PositiveIntegerField(
        default=30, validators=[MinValueValidator(1), MaxValueValidator(90)]
    )
    threshold_ms = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(60_000)]
    )
    min_events = models.PositiveIntegerField(
        default=20, validators=[MinValueValidator(1), MaxValueValidator(1_000_000)]
    )
    enabled = models.BooleanField(default=True)
    counted_until = models.DateTimeField(null=True, editable=False)

    objects = SloQuerySet.as_manager()

    class Meta:
        db_table = "slo"
        verbose_name = "objective"
        ordering = ("name",)
        constraints = (
            enum_check("slo", "kind", SloKind),
            enum_check("slo", "source", SloSource),
            name_constraint("slo", "An objective"),
            models.CheckConstraint(
                name="slo_threshold_check",
                condition=Q(kind="AVAILABILITY") | Q(threshold_ms__isnull=False),
            ),
        )

    @property
    def status(self) -> str:
        """Return whether it is watched, in a word of the statuses of others."""
        return "ACTIVE" if self.enabled else "DISABLED"


class SloMinute(AppendedModel):
    """The looks of a minute that count for an objective, and how many were good."""

    slo = models.ForeignKey(Slo, on_delete=models.CASCADE, related_name="minutes", db_index=False)
    starts_at = models.DateTimeField()
    good = models.PositiveIntegerField()
    total = models.PositiveIntegerField()

    class Meta:
        db_table = "slo_minute"
        constraints = (
            models.UniqueConstraint(fields=("slo", "starts_at"), name="slo_minute_key"),
            models.CheckConstraint(name="slo_minute_sum_check", condition=Q(good__lte=F("total"))),
        )
        indexes = (models.Index(fields=("starts_at",), name="slo_minute_time_idx"),)

    def __str__(self) -> str:
        return f"{self.good} of {self.total}"
