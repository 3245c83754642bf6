"""Reads bodies in their common form by what a serializer declares, without making one.

What is not read here may be right still, as a number that is given as text, or has an error that
the serializer words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from django.core.validators import (
    MaxLengthValidator,
    MaxValueValidator,
    MinValueValidator,
    ProhibitNullCharactersValidator,
)
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from core.api.fields import AnyField, NumberField, ObjectField, VocabularyField
from core.api.serializers import StrictSerializer
from core.db.json_fields import validate_object

# The size of objects is not looked at: a body of this many bytes has none that is too large, as
# none of its characters takes more than five in the form in which that is measured.
MOST_BYTES = 200_000
_KNOWN_CHECKS = (
    MinValueValidator,
    MaxValueValidator,
    MaxLengthValidator,
    # Strict JSON has neither.
    ProhibitNullCharactersValidator,
    ProhibitSurrogateCharactersValidator,
)


class NotPlain(Exception):
    """The serializer is to be asked."""


def read_plainly(serializer: type[StrictSerializer], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the serializer would make of a body of at most `MOST_BYTES`.

    Raises:
        NotPlain: the serializer is to be asked.
    """
    return _reader_of(serializer).read(body)


Read = Callable[[Any], Any]


class _Reader:
    """What one serializer declares."""

    def __init__(self, serializer: StrictSerializer) -> None:
        self._serializer = serializer
        self._names = serializer.other_names
        self._fields = serializer.fields
        self._reads = {
            name: _refuse if hasattr(serializer, f"validate_{name}") else _read_of(field)
            for name, field in serializer.fields.items()
        }

    def read(self, body: Mapping[str, Any]) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for key, value in body.items():
            name = self._names.get(key, key)
            if name in given or name not in self._reads:
                raise NotPlain
            given[name] = self._reads[name](value)
        fields: dict[str, Any] = {}
        for name, field in self._fields.items():
            if name in given:
                fields[name] = given[name]
            elif field.required:
                raise NotPlain
            elif field.default is not empty:
                fields[name] = field.default() if callable(field.default) else field.default
        try:
            read: dict[str, Any] = self._serializer.validate(self._serializer.converted(fields))
        except ValidationError:
            raise NotPlain from None
        return read


@cache
def _reader_of(serializer: type[StrictSerializer]) -> _Reader:
    return _Reader(serializer())


def _read_of(field: serializers.Field[Any, Any, Any, Any]) -> Read:
    """Return the function that reads a value of a field, or raises NotPlain."""
    takes = _taken_by(field)

    def read(value: Any) -> Any:
        if value is None:
            if field.allow_null:
                return None
            raise NotPlain
        return takes(value)

    return read


def _taken_by(field: serializers.Field[Any, Any, Any, Any]) -> Read:
    checks = [check for check in field.validators if check is not validate_object]
    if not all(isinstance(check, _KNOWN_CHECKS) for check in checks):
        return _refuse
    if (read := _OF_KIND.get(type(field))) is not None:
        return read
    match field:
        case StrictSerializer():
            return lambda value: _reader_of(type(field)).read(_object(value))
        case NumberField():
            return _number(field, (int, float), float)
        case serializers.IntegerField():
            return _number(field, (int,), int)
        case VocabularyField():
            return _word(frozenset(field.vocabulary.values))
        case serializers.CharField():
            return _text(field)
        case serializers.ListField():
            return _list(field)
        case _:
            return _refuse


def _refuse(value: Any) -> Any:
    raise NotPlain


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotPlain
    return value


def _number(field: Any, kinds: tuple[type, ...], kind: type) -> Read:
    least, most = field.min_value, field.max_value

    def read(value: Any) -> Any:
        if type(value) not in kinds:
            raise NotPlain
        if (least is not None and value < least) or (most is not None and value > most):
            raise NotPlain
        return kind(value)

    return read


def _text(field: Any) -> Read:
    longest = field.max_length

    def read(value: Any) -> Any:
        is_plain = isinstance(value, str) and value and value == value.strip()
        if not is_plain or (longest is not None and len(value) > longest):
            raise NotPlain
        return value

    return read


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise NotPlain
    return value


def _list(field: Any) -> Read:
    read_child, longest = _read_of(field.child), field.max_length

    def read(value: Any) -> Any:
        if not isinstance(value, list) or (longest is not None and len(value) > longest):
            raise NotPlain
        if not value and not field.allow_empty:
            raise NotPlain
        return [read_child(each) for each in value]

    return read


def _word(words: frozenset[str]) -> Read:
    def read(value: Any) -> Any:
        if not isinstance(value, str) or value not in words:
            raise NotPlain
        return value

    return read


_OF_KIND: dict[type, Read] = {
    ObjectField: _object,
    AnyField: lambda value: value,
    serializers.BooleanField: _boolean,
}
