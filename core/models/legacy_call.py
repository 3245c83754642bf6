"""Calls in the shapes of the earlier system, counted."""

from __future__ import annotations

from django.db import models

from core.db.models import TimestampedModel


class LegacyCall(TimestampedModel):
    """How often a caller called a route in the shapes of the earlier system, and when last."""

    route = models.CharField(max_length=100)
    caller = models.CharField(max_length=100, blank=True)
    calls = models.PositiveBigIntegerField(default=0)
    last_at = models.DateTimeField()

    class Meta:
        db_table = "legacy_call"
        ordering = ("-last_at",)
        verbose_name = "old call"
        constraints = (
            models.UniqueConstraint(
                fields=("route", "caller"), name="legacy_call_route_caller_key"
            ),
        )

    def __str__(self) -> str:
        return f"{self.route} by {self.caller or 'nobody known'}"
