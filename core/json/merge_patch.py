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
    whole. Those of `caseless` are objects whose names are the same in any case, as of headers: the
    spelling that is given last stays.
    """

    members: Mapping[str, Any]
    replaced: frozenset[str] = field(default=frozenset())
    caseless: frozenset[str] = field(default=frozenset())

    def onto(self, target: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the object that `target` becomes."""
        merged = {k: v for k, v in self.members.items() if k not in self.replaced or v is None}
        whole = {k: v for k, v in self.members.items() if k not in merged}
        present = dict(target or {})
        for name in self.caseless & present.keys() & merged.keys():
            present[name] = _spelt_as(merged[name], present[name])
        return {**merge_patch(present, merged), **whole}


def _spelt_as(patch: Any, target: Any) -> Any:
    """Return the target with its names as the patch spells them."""
    if not isinstance(patch, dict) or not isinstance(target, dict):
        return target
    spellings = {_folded(name): name for name in patch}
    return {spellings.get(_folded(name), name): value for name, value in target.items()}


def _folded(name: str) -> str:
    return name.strip().lower()


def resolved(row: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a row's columns become: patches are applied to what they hold."""
    return {
        name: value.onto(getattr(row, name)) if isinstance(value, MergePatch) else value
        for name, value in fields.items()
    }
