"""Calls that the hub made, counted by the minute."""

from __future__ import annotations

from django.db import models

from core.db.models import AppendedModel
from registry.models.service import Service


class CallMinute(AppendedModel):
    """So many calls of an action in a minute that came out alike: well or not, and how soon.

    `at_most_ms` is the bound under which they were answered. Many processes add to a row, so that a
    service that is deleted meanwhile must stop none of them: its rows go with time.
    """

    service = models.ForeignKey(
        Service,
        on_delete=models.CASCADE,
        related_name="call_minutes",
        db_constraint=False,
        db_index=False,
    )
    action = models.CharField(max_length=100)
    starts_at = models.DateTimeField()
    is_good = models.BooleanField()
    at_most_ms = models.PositiveIntegerField()
    total = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "call_minute"
        constraints = (
            models.UniqueConstraint(
                fields=("service", "starts_at", "action", "is_good", "at_most_ms"),
                name="call_minute_key",
            ),
        )
        indexes = (models.Index(fields=("starts_at",), name="call_minute_time_idx"),)

    def __str__(self) -> str:
        return f"{self.total} calls of {self.action}"
