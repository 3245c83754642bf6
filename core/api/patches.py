"""Bodies of changes: what is given is changed, the rest stays (RFC 7396)."""

from __future__ import annotations

from typing import Any

from django.db.models import Field, Model

from core.api.serializers import StrictSerializer
from core.json.merge_patch import MergePatch

CANNOT_BE_REMOVED = "This cannot be removed: give another value, or leave it out."


class PatchSerializer(StrictSerializer):
    """A change of a resource; mixed in before the serializer that makes one.

    Nothing is needed. Null takes a field away: it is as in a resource that was made without it,
    which is the default of its column in `model`. What a resource cannot be without, and the fields
    of `lasting`, cannot be taken away. The objects of `merged` are changed member by member, every
    other value is replaced as a whole. Those of `caseless`, within them, have names that are the
    same in any case.
    """

    model: type[Model]
    lasting: frozenset[str] = frozenset()
    merged: frozenset[str] = frozenset()
    caseless: frozenset[str] = frozenset()

    def get_fields(self) -> Any:
        fields = super().get_fields()
        for name, field in fields.items():
            field.allow_null = not field.required and name not in self.lasting
            field.required = False
            field.error_messages["null"] = CANNOT_BE_REMOVED
        return fields

    def to_internal_value(self, data: Any) -> Any:
        return self.converted(super().to_internal_value(data))

    def converted(self, values: dict[str, Any]) -> dict[str, Any]:
        return {name: self._change_of(name, value) for name, value in values.items()}

    def _change_of(self, name: str, value: Any) -> Any:
        if value is None:
            return self.without(name)
        return MergePatch(value, caseless=self.caseless) if name in self.merged else value

    def without(self, name: str) -> Any:
        """Return the value that a column has in a row that was made without it."""
        return default_of(self.model, name)


def default_of(model: type[Model], name: str) -> Any:
    """Return what a column holds of a row that was made without it."""
    column = model._meta.get_field(name)
    assert isinstance(column, Field)
    return column.get_default()
