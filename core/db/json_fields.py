"""JSON columns that keep one type of value within a size."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

MAX_JSON_BYTES = 1024 * 1024


def _validate_json(value: Any, *, kind: type, word: str) -> None:
    if not isinstance(value, kind):
        raise ValidationError(f"Must be a JSON {word}, not {type(value).__name__}.")
    if len(json.dumps(value)) > MAX_JSON_BYTES:
        raise ValidationError("Must be at most 1 MiB of JSON.")


def validate_object(value: Any) -> None:
    """Refuse what is not a JSON object, or is over 1 MiB."""
    _validate_json(value, kind=dict, word="object")


def validate_metadata(value: Any) -> None:
    """Refuse what is not a JSON object, or is over METADATA_MAX_BYTES."""
    validate_object(value)
    size, most = len(json.dumps(value, ensure_ascii=False).encode()), settings.METADATA_MAX_BYTES
    if size > most:
        raise ValidationError(
            f"Has {size:,} bytes of JSON; at most {most:,} are taken (METADATA_MAX_BYTES)."
        )


def validate_tags(value: Any) -> None:
    """Refuse what is not a list of short strings, or has more than TAGS_MAX."""
    validate_strings(value)
    if len(value) > settings.TAGS_MAX:
        raise ValidationError(
            f"There are {len(value):,}; at most {settings.TAGS_MAX:,} are taken (TAGS_MAX)."
        )


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
        """Be any JSON column for the database."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs


def object_field(**kwargs: Any) -> CheckedJSONField:
    """Return a column for a JSON object, empty by default."""
    return CheckedJSONField(default=dict, blank=True, validators=[validate_object], **kwargs)


def grant_field() -> CheckedJSONField:
    """Return a column for what may be sent with which credentials, nothing by default.

    It has its default in the database too: a worker on the code of before goes on while a hub is
    brought up to date.
    """
    return object_field(
        editable=False,
        db_default=models.Value({}, models.JSONField()),
        help_text="What may be sent with a credential, and who allowed it.",
    )


def metadata_field(**kwargs: Any) -> CheckedJSONField:
    """Return a column for what callers keep with a row, an empty object by default."""
    return CheckedJSONField(default=dict, blank=True, validators=[validate_metadata], **kwargs)


def tags_field() -> CheckedJSONField:
    """Return a column for a list of tags, empty by default."""
    return CheckedJSONField(default=list, blank=True, validators=[validate_tags])
