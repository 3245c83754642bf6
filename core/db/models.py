"""What every model shares: identifiers, timestamps and enum columns."""

from __future__ import annotations

import uuid
from typing import Any, Self

from django.db import models
from django.dispatch import Signal

from core.db.uuid7 import uuid7

# A row has another name now: `row`, and the name `before`. Sent in the transaction of its change.
renamed = Signal()


class NamedModel(models.Model):
    """Tells when its name changes, however it is saved; others name it in their documents."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        fields = kwargs.get("update_fields")
        if fields is not None and "name" not in fields:
            return
        before, name = getattr(self, "name_as_read", ""), self.__dict__.get("name", "")
        self.name_as_read = name
        if before and before != name:
            renamed.send(type(self), row=self, before=before)

    @classmethod
    def from_db(cls, db: Any, field_names: Any, values: Any, **more: Any) -> Self:
        row = super().from_db(db, field_names, values, **more)
        row.name_as_read = row.__dict__.get("name", "")
        return row


def find_bound(rows: Any, reference: str, *, key: str) -> Any:
    """The row with the id `key`; without one, that of the id or name `reference`.

    Both are found as `rows.find` finds them, with what it brings along.
    """
    return (rows.find(key) if key else None) or rows.find(reference)


class TimestampedModel(models.Model):
    """A row with a random identifier and its times."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(auto_now_add=True, editable=False)
    updated_at = models.DateTimeField(auto_now=True, editable=False)

    class Meta:
        abstract = True


class AppendedModel(TimestampedModel):
    """A row of a table that grows: its identifier is time-ordered, so that inserts stay local."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)

    class Meta:
        abstract = True
