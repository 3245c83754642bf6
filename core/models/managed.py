"""Rows that files say how they are to be."""

from __future__ import annotations

from django.db import models

from core.db.models import TimestampedModel
from core.models.audit import object_type_of


class ManagedObject(TimestampedModel):
    """A row that is managed by a file: what is changed otherwise is undone when it is applied.

    `owner` names the files that are applied together, such as a repository. The row is named, and
    not referred to, as it may be of any table: what names a row that is gone says nothing.
    """

    object_type = models.CharField(max_length=50)
    object_id = models.UUIDField()
    owner = models.CharField(max_length=100)
    file = models.CharField(max_length=300)

    class Meta:
        db_table = "managed_object"
        constraints = (
            models.UniqueConstraint(fields=("object_type", "object_id"), name="managed_object_key"),
        )
        indexes = (models.Index(fields=("owner",), name="managed_object_owner_idx"),)

    def __str__(self) -> str:
        return f"{self.object_type} {self.object_id}"

    @classmethod
    def of(cls, row: models.Model) -> ManagedObject | None:
        """Return by which file a row is managed; None where it is by none."""
        return cls.objects.filter(object_type=object_type_of(row), object_id=row.pk).first()
