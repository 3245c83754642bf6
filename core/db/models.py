"""What every model shares: identifiers, timestamps and enum columns."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar, Self, TypeVar

from django.db import models
from django.db.models.functions import Lower
from django.dispatch import Signal

from core.db.names import reference_filter, validate_name
from core.db.uuid7 import uuid7
from core.exceptions import NotFound, ValidationFailed
from core.identifiers import read_id
from core.suggestions import no_such_row

Row = TypeVar("Row", bound=models.Model)

# A row has another name now: `row`, and the name `before`. Sent in the transaction of its change.
renamed = Signal()


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


class NamedQuerySet(models.QuerySet[Row]):
    """Selections of rows that have a name."""

    def find(self, reference: str) -> Row | None:
        """Return the row of that id or, in any case, that name."""
        return self.filter(reference_filter(reference)).first()

    def get_named(self, reference: str) -> Row:
        """Return the row that `find` finds.

        Raises:
            NotFound: there is none; the message names similar ones.
        """
        row = self.find(reference)
        if row is None:
            raise NotFound(no_such_row(self.model._default_manager, reference))
        return row

    def get_given(self, field: str, reference: Any) -> Row:
        """Return the row that a field names by its id or name, or is.

        Raises:
            ValidationFailed: at that field; there is none.
        """
        if isinstance(reference, self.model):
            return reference
        row = self.find(str(reference))
        if row is None:
            sentence = no_such_row(self.model._default_manager, reference)
            raise ValidationFailed.at(field, sentence)
        return row


class NamedModel(TimestampedModel):
    """A row that is found by its name, which no other of its table has in any case.

    `part_of` is the column of a row that it is nothing without: it goes with that row, and does not
    count as using it.
    """

    part_of: ClassVar[str] = ""

    name = models.CharField(max_length=100, validators=[validate_name])
    description = models.TextField(blank=True, default="", max_length=5000)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name


def name_constraint(table: str, noun: str) -> models.UniqueConstraint:
    """Return the constraint that a name is given once; `noun` is with its article."""
    return models.UniqueConstraint(
        Lower("name"),
        name=f"{table}_name_key",
        violation_error_message=f"{noun} with this name exists (names ignore case).",
    )


class ReferencedModel(NamedModel):
    """A row that others name in their documents: it tells when its name changes."""

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


def get_by_id(rows: models.QuerySet[Row], reference: object, noun: str) -> Row:
    """Return the row of that id; `noun` is what a sentence calls such a row.

    Raises:
        NotFound: there is none, or it is no id.
    """
    key = read_id(reference)
    row = rows.filter(pk=key).first() if key else None
    if row is None:
        raise NotFound(f"No {noun} with the id '{str(reference)[:100]}'.")
    return row


def find_bound(rows: Any, reference: str, *, key: str) -> Any:
    """Return the row with the id `key`; without one, that of the id or name `reference`.

    Both are found as `rows.find` finds them, with what it brings along.
    """
    return (rows.find(key) if key else None) or rows.find(reference)
