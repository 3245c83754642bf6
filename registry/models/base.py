"""What every model shares: identifiers, timestamps and enum columns."""

from __future__ import annotations

import json
import secrets
import threading
import time
import uuid
from datetime import datetime
from typing import Any, Self

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.dispatch import Signal

from registry.suggestions import did_you_mean


class Vocabulary(models.TextChoices):
    """An enum whose values are UPPERCASE and whose input may be in any case."""

    @classmethod
    def aliases(cls) -> dict[str, str]:
        """Other names that callers use for a value."""
        return {}

    @classmethod
    def parse(cls, value: object) -> Self:
        """Return the member for `value`, whatever its case and surrounding blanks.

        Raises:
            ValueError: the value is not one of the vocabulary; the message lists the allowed ones.
        """
        text = str(value).strip().upper() if isinstance(value, str) else ""
        text = cls.aliases().get(text, text)
        try:
            return cls(text)
        except ValueError:
            raise ValueError(cls.refusal(value)) from None

    @classmethod
    def refusal(cls, value: object) -> str:
        shown = repr(value) if not isinstance(value, str) else f"'{value[:100]}'"
        close = did_you_mean(value, [*cls.values, *cls.aliases()])
        return f"{shown} is not allowed{close} Use one of: {', '.join(cls.values)}."


class EnumField(models.CharField):
    """A varchar column of a Vocabulary: any case in, upper case stored, the rest refused."""

    def __init__(
        self, *args: Any, vocabulary: type[Vocabulary] | None = None, **kwargs: Any
    ) -> None:
        self.vocabulary = vocabulary
        if vocabulary is not None:
            kwargs.setdefault("choices", vocabulary.choices)
        kwargs.setdefault("max_length", 30)
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        """Migrations know it as a plain CharField; the check constraint holds the values."""
        name, _path, args, kwargs = super().deconstruct()
        kwargs.pop("choices", None)
        return name, "django.db.models.CharField", args, kwargs

    def to_python(self, value: Any) -> Any:
        if self.vocabulary is None or value is None or value == "":
            return super().to_python(value)
        try:
            return self.vocabulary.parse(value)
        except ValueError as error:
            raise ValidationError(str(error), code="invalid_choice") from None

    def get_prep_value(self, value: Any) -> Any:
        return (
            str(value)
            if isinstance(value, Vocabulary)
            else super(models.CharField, self).get_prep_value(value)
        )

    def formfield(self, **kwargs: Any) -> Any:
        if self.vocabulary is not None:
            kwargs.setdefault("choices_form_class", VocabularyChoiceField)
        field = super().formfield(**kwargs)
        if isinstance(field, VocabularyChoiceField):
            field.vocabulary = self.vocabulary
        return field


class VocabularyChoiceField(forms.TypedChoiceField):
    """A select whose submitted value may be in any case."""

    vocabulary: type[Vocabulary] | None = None

    def to_python(self, value: Any) -> Any:
        if self.vocabulary is None or value in self.empty_values:
            return super().to_python(value)
        try:
            return self.vocabulary.parse(value).value
        except ValueError as error:
            raise ValidationError(str(error), code="invalid_choice") from None


MAX_JSON_BYTES = 1024 * 1024


def _validate_json(value: Any, *, kind: type, word: str) -> None:
    if not isinstance(value, kind):
        raise ValidationError(f"Must be a JSON {word}, not {type(value).__name__}.")
    if len(json.dumps(value)) > MAX_JSON_BYTES:
        raise ValidationError("Must be at most 1 MiB of JSON.")


def validate_object(value: Any) -> None:
    """Refuse what is not a JSON object, or is over 1 MiB."""
    _validate_json(value, kind=dict, word="object")


def validate_list(value: Any) -> None:
    """Refuse what is not a JSON list, or is over 1 MiB."""
    _validate_json(value, kind=list, word="list")


def validate_strings(value: Any) -> None:
    """Refuse what is not a list of short strings."""
    validate_list(value)
    if not all(isinstance(item, str) and 0 < len(item) <= 100 for item in value):
        raise ValidationError("Must be a list of strings of 1 to 100 characters.")


class CheckedJSONField(models.JSONField):
    """A JSON column whose validators also see empty values: `[]` is no object, `""` no list."""

    empty_values = (None,)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        """For the database it is any JSON column."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs


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


def object_field(**kwargs: Any) -> CheckedJSONField:
    """A column for a JSON object, empty by default."""
    return CheckedJSONField(default=dict, blank=True, validators=[validate_object], **kwargs)


def strings_field(**kwargs: Any) -> CheckedJSONField:
    """A column for a list of short strings, empty by default."""
    return CheckedJSONField(default=list, blank=True, validators=[validate_strings], **kwargs)


def enum_check(table: str, column: str, vocabulary: type[Vocabulary]) -> models.CheckConstraint:
    """The constraint that makes the database refuse any other value of an enum column."""
    return models.CheckConstraint(
        name=f"{table}_{column}_check", condition=models.Q(**{f"{column}__in": vocabulary.values})
    )


_uuid7_lock = threading.Lock()
_uuid7_last = 0


def uuid7() -> uuid.UUID:
    """A time-ordered UUID (RFC 9562, version 7), increasing within this process.

    The 12 bits after the milliseconds hold a sub-millisecond fraction (method 3 of section 6.2).
    """
    global _uuid7_last
    with _uuid7_lock:
        stamp = max(time.time_ns() * 4096 // 1_000_000, _uuid7_last + 1)
        _uuid7_last = stamp
    milliseconds, fraction = divmod(stamp, 4096)
    high = (milliseconds & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | fraction
    return uuid.UUID(int=high << 64 | 0b10 << 62 | secrets.randbits(62))


def uuid7_at(moment: datetime) -> uuid.UUID:
    """The least of all that `uuid7` makes from this moment on: what it is compared with is older.

    So a table of appended rows is cut at an age by its primary key, without an index on a time.
    """
    milliseconds = int(moment.timestamp() * 1000)
    return uuid.UUID(int=(milliseconds << 16 | 0x7000) << 64 | 0b10 << 62)


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
