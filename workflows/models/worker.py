"""The worker processes, as they show themselves."""

from __future__ import annotations

from django.db import models

from core.db.models import TimestampedModel


class Worker(TimestampedModel):
    """One engine; alive while it renews `seen_at`."""

    name = models.CharField(max_length=100, unique=True)
    in_flight = models.PositiveIntegerField(default=0)
    seen_at = models.DateTimeField()
    swept_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "worker"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
