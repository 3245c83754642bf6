"""The worker processes, as they show themselves."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.db.models import QuerySet

from core.db.models import TimestampedModel

LONGEST_SILENCE = timedelta(seconds=30)


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

    @classmethod
    def alive(cls, now: datetime) -> QuerySet[Worker]:
        """Return those that showed themselves lately."""
        return cls.objects.filter(seen_at__gt=now - LONGEST_SILENCE)

    def is_alive(self, now: datetime) -> bool:
        """Return whether it showed itself lately, by what was read."""
        return self.seen_at > now - LONGEST_SILENCE
