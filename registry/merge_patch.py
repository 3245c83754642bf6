"""Changes of JSON objects by JSON Merge Patch (RFC 7396); pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` changed by `patch`: null removes, objects are merged, the rest replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


@dataclass(frozen=True)
class MergePatch:
    """A change of an object that is applied where the present one is known: under its lock.

    The members of `replaced` are values in which null means something: they are replaced as a
    whole.
    """

    members: Mapping[str, Any]
    replaced: frozenset[str] = field(default=frozenset())

    def onto(self, target: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the object that `target` becomes."""
        merged = {k: v for k, v in self.members.items() if k not in self.replaced or v is None}
        whole = {k: v for k, v in self.members.items() if k not in merged}
        return {**merge_patch(dict(target or {}), merged), **whole}


def resolved(row: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a row's columns become: patches are applied to what they hold."""
    return {
        name: value.onto(getattr(row, name)) if isinstance(value, MergePatch) else value
        for name, value in fields.items()
    }
