"""Serializer fields for enums, numbers and JSON."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.db.json_fields import validate_object
from core.db.vocabulary import Vocabulary
from core.json import strict
from core.vault import Secret

MOST_SECRETS = 50


class VocabularyField(serializers.ChoiceField):
    """An enum value in any case; what is refused is answered with the allowed values."""

    def __init__(self, vocabulary: type[Vocabulary], **kwargs: Any) -> None:
        self.vocabulary = vocabulary
        super().__init__(choices=vocabulary.choices, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        try:
            return self.vocabulary.parse(data).value
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None

    def to_representation(self, value: Any) -> str:
        return str(value)


class NumberField(serializers.FloatField):
    """A finite number, also as the text that JSON would write; a boolean is none."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float | str):
            self.fail("invalid")
        try:
            return strict.parse_number(data) if isinstance(data, str) else float(data)
        except strict.JSONRefused:
            self.fail("invalid")


@extend_schema_field({"type": "object", "additionalProperties": {}})
class ObjectField(serializers.JSONField):
    """A JSON object of at most 1 MiB."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.validators.append(validate_object)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("Must be a JSON object.")
        return data


@extend_schema_field({})
class AnyField(serializers.Field[Any, Any, Any, Any]):
    """Whatever JSON."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(
    {"type": "object", "additionalProperties": {"type": "string"}, "writeOnly": True}
)
class SecretField(serializers.Field[Any, Any, Any, Any]):
    """The secret parts, by name; hidden as soon as they are read, and never answered."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(write_only=True, **kwargs)

    def to_internal_value(self, data: Any) -> dict[str, Secret]:
        if not isinstance(data, dict) or not 0 < len(data) <= MOST_SECRETS:
            raise serializers.ValidationError("Must be a JSON object with the secret parts.")
        if not all(isinstance(value, str) for value in data.values()):
            raise serializers.ValidationError("Every part must be a text.")
        return {name: Secret(value) for name, value in data.items()}
