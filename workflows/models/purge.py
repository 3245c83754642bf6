"""The record of what retention deleted, and when."""

from __future__ import annotations

from django.db import models

from core.db.json_fields import object_field
from core.db.models import AppendedModel


class PurgeRun(AppendedModel):
    """One purge that deleted something. `by_class` counts the executions of each class."""

    actor = models.CharField(max_length=100, blank=True, default="")
    started_at = models.DateTimeField()
    completed_at = models.DateTimeField()
    executions = models.PositiveIntegerField(default=0)
    steps = models.PositiveIntegerField(default=0)
    by_class = object_field()

    class Meta:
        db_table = "purge_run"
        ordering = ("-id",)
        verbose_name = "purge"

    def __str__(self) -> str:
        return f"{self.executions} executions"
