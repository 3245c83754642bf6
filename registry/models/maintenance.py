"""Maintenance of what can be under maintenance: since when, until when, why, by whose order."""

from __future__ import annotations

from datetime import datetime

from django.db import models

from core.models.audit import MAX_ACTOR, MAX_REASON

MAINTENANCE_FIELDS = (
    "maintenance_since",
    "maintenance_until",
    "maintenance_reason",
    "maintenance_by",
)


class MaintainedModel(models.Model):
    """Has the columns of one maintenance, empty while there is none."""

    maintenance_since = models.DateTimeField(null=True, blank=True, editable=False)
    maintenance_until = models.DateTimeField(null=True, blank=True, editable=False)
    maintenance_reason = models.CharField(
        max_length=MAX_REASON, blank=True, default="", db_default="", editable=False
    )
    maintenance_by = models.CharField(
        max_length=MAX_ACTOR, blank=True, default="", db_default="", editable=False
    )

    class Meta:
        abstract = True

    def begin_maintenance(
        self, *, at: datetime, until: datetime | None = None, reason: str = "", by: str = ""
    ) -> None:
        """Put it under maintenance; one that is under way goes on with the new end and reason."""
        self.maintenance_since = self.maintenance_since or at
        self.maintenance_until = until
        self.maintenance_reason, self.maintenance_by = reason, by[:MAX_ACTOR]

    def end_maintenance(self) -> None:
        """Lift the maintenance that it is under, if any."""
        self.maintenance_since = self.maintenance_until = None
        self.maintenance_reason = self.maintenance_by = ""


def ends_with_its_beginning(table: str) -> models.CheckConstraint:
    """The constraint that only a maintenance that began has an end."""
    began = models.Q(maintenance_since__isnull=False)
    return models.CheckConstraint(
        name=f"{table}_maintenance_check", condition=began | models.Q(maintenance_until=None)
    )


def maintenance_index(table: str) -> models.Index:
    """The index by which the sweep finds maintenance whose end is reached."""
    return models.Index(
        fields=("maintenance_until",),
        name=f"{table}_maintenance_idx",
        condition=models.Q(maintenance_until__isnull=False),
    )
