"""What is remembered of how services were: spans of one status, and sums by hour and day."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from core.db.json_fields import CheckedJSONField, validate_list
from core.db.models import AppendedModel
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from registry.models import Service, ServiceStatus


class StatusSpan(AppendedModel):
    """A time in which a service had one status and one version; `ended_at` is empty while it lasts.

    The spans of a service follow one another without a gap, in the order of their ids.
    """

    service = models.ForeignKey(
        Service, on_delete=models.CASCADE, related_name="spans", db_index=False
    )
    status = EnumField(vocabulary=ServiceStatus, max_length=20)
    version = models.CharField(max_length=50, blank=True, default="", db_default="")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "status_span"
        ordering = ("-id",)
        constraints = (
            enum_check("status_span", "status", ServiceStatus),
            models.UniqueConstraint(
                fields=("service",), condition=Q(ended_at=None), name="status_span_one_open_key"
            ),
            models.CheckConstraint(
                name="status_span_order_check",
                condition=Q(ended_at=None) | Q(ended_at__gte=F("started_at")),
            ),
        )
        indexes = (
            models.Index(fields=("service", "ended_at"), name="status_span_service_idx"),
            models.Index(fields=("ended_at",), name="status_span_ended_idx"),
        )

    def __str__(self) -> str:
        return f"{self.status} from {self.started_at} to {self.ended_at or 'now'}"


class Period(Vocabulary):
    """The periods over which uptime is summed."""

    HOUR = "HOUR", "Hour"
    DAY = "DAY", "Day"


class UptimeRollup(AppendedModel):
    """The parts of an hour or a day (UTC) of a service, in milliseconds, and how fast it answered.

    `latencies` counts answers by how long they took, see `monitoring.uptime.latency`; empty where
    there was none. Two of them add up place by place.
    """

    service = models.ForeignKey(
        Service, on_delete=models.CASCADE, related_name="rollups", db_index=False
    )
    period = EnumField(vocabulary=Period, max_length=10)
    starts_at = models.DateTimeField()
    up_ms = models.PositiveIntegerField(default=0)
    down_ms = models.PositiveIntegerField(default=0)
    maintenance_up_ms = models.PositiveIntegerField(default=0)
    maintenance_down_ms = models.PositiveIntegerField(default=0)
    unknown_ms = models.PositiveIntegerField(default=0)
    latencies = CheckedJSONField(default=list, blank=True, validators=[validate_list])

    class Meta:
        db_table = "uptime_rollup"
        ordering = ("-id",)
        constraints = (
            enum_check("uptime_rollup", "period", Period),
            models.UniqueConstraint(
                fields=("service", "period", "starts_at"), name="uptime_rollup_key"
            ),
        )
        indexes = (models.Index(fields=("period", "starts_at"), name="uptime_rollup_period_idx"),)

    def __str__(self) -> str:
        return f"{self.period} {self.starts_at}"


class MemoryState(models.Model):
    """One row: how far the log of changes was followed, and until when hours were summed."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    log_index = models.BigIntegerField(default=0)
    summed_until = models.DateTimeField(null=True)

    class Meta:
        db_table = "monitoring_memory"
        constraints = (
            models.CheckConstraint(name="monitoring_memory_one_row_check", condition=Q(id=1)),
        )

    def __str__(self) -> str:
        return f"until change {self.log_index}"
