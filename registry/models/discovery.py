"""The state of the sweep that keeps the record of instances true."""

from __future__ import annotations

from django.db import models

from core.db.models import AppendedModel


class ObservationGap(AppendedModel):
    """A time in which nobody looked who is alive: the hub was stopped, or its backend away."""

    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "observation_gap"
        ordering = ("started_at",)
        constraints = (
            models.CheckConstraint(
                name="observation_gap_order_check",
                condition=models.Q(ended_at__gt=models.F("started_at")),
            ),
        )

    def __str__(self) -> str:
        return f"{self.started_at} to {self.ended_at}"


class DiscoveryState(models.Model):
    """One row: when the sweep last saw who is alive, and since when it cannot see it."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    swept_at = models.DateTimeField(null=True)
    unreachable_since = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        db_table = "discovery_state"
        constraints = (
            models.CheckConstraint(name="discovery_state_one_row_check", condition=models.Q(id=1)),
        )

    def __str__(self) -> str:
        return f"unreachable: {self.error}" if self.unreachable_since else "reachable"
