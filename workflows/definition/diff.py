"""Compares two versions of a definition, step by step and key by key (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.expressions import join_path
from core.json.equality import json_equal
from workflows.definition import extend_path

ChangeKind = Literal["ADDED", "REMOVED", "CHANGED"]
# What holds the steps inside of a step.
_INSIDE = ("branches", "steps")
TOP = ""


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key path whose value differs; an absent value is None."""

    path: str
    kind: ChangeKind
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class ComparedStep:
    """A step of either version: what it says, where it stands, and what changed in it.

    `place` is empty at the top, and such as `fork[0]` in the first branch of `fork`.
    """

    id: str
    name: str
    place: str
    document: Mapping[str, Any]
    changes: tuple[KeyChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the second of two documents differs from the first."""

    added: tuple[ComparedStep, ...]
    removed: tuple[ComparedStep, ...]
    changed: tuple[ComparedStep, ...]
    unchanged: tuple[str, ...]
    options: tuple[KeyChange, ...]

    @property
    def is_same(self) -> bool:
        """Return whether both say the same."""
        return not (self.added or self.removed or self.changed or self.options)


@dataclass(frozen=True, slots=True)
class _Placed:
    place: str
    document: Mapping[str, Any]


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Comparison:
    """Compare two documents of definitions. Steps are the same where their ids are."""
    old, new = _steps_of(before), _steps_of(after)
    both = [name for name in new if name in old]
    compared = {name: _compare_step(old[name], new[name]) for name in both}
    return Comparison(
        added=tuple(_shown(new[name]) for name in new if name not in old),
        removed=tuple(_shown(old[name]) for name in old if name not in new),
        changed=tuple(_shown(new[name], compared[name]) for name in both if compared[name]),
        unchanged=tuple(name for name in both if not compared[name]),
        options=tuple(_compare_options(before, after)),
    )


def documents_of_steps(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return what each step says, by its id; of the steps inside of one only their ids."""
    return {name: placed.document for name, placed in _steps_of(document).items()}


def _steps_of(document: Mapping[str, Any]) -> dict[str, _Placed]:
    """Return every step by its id, in the order of the document, without the steps inside of it."""
    return dict(_walk(document.get("steps"), TOP))


def _walk(steps: Any, container: str) -> Iterator[tuple[str, _Placed]]:
    for step in steps if isinstance(steps, list) else ():
        if not isinstance(step, Mapping):
            continue
        name = str(step.get("id"))
        own = {key: value for key, value in step.items() if key not in _INSIDE}
        blocks = _blocks_of(step)
        inside = {key: [_ids(block) for block in blocks[key]] for key in blocks}
        yield name, _Placed(container, {**own, **inside})
        for key, lists in blocks.items():
            for index, block in enumerate(lists):
                yield from _walk(block, f"{name}[{index}]" if key == "branches" else name)


def _blocks_of(step: Mapping[str, Any]) -> dict[str, list[Any]]:
    blocks: dict[str, list[Any]] = {}
    if isinstance(step.get("branches"), list):
        blocks["branches"] = step["branches"]
    if isinstance(step.get("steps"), list):
        blocks["steps"] = [step["steps"]]
    return blocks


def _ids(block: Any) -> list[Any]:
    steps = block if isinstance(block, list) else []
    return [step.get("id") for step in steps if isinstance(step, Mapping)]


def _shown(step: _Placed, changes: Sequence[KeyChange] = ()) -> ComparedStep:
    document = step.document
    name = str(document.get("id"))
    return ComparedStep(
        name, str(document.get("name") or name), step.place, document, tuple(changes)
    )


def _compare_step(old: _Placed, new: _Placed) -> list[KeyChange]:
    changes = [*_differences(old.document, new.document, "")]
    if old.place != new.place:
        changes.insert(0, KeyChange("(place)", "CHANGED", old.place or "top", new.place or "top"))
    return changes


def _compare_options(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[KeyChange]:
    first, second = _ids(before.get("steps"))[:1], _ids(after.get("steps"))[:1]
    if first != second:
        yield KeyChange(
            "(first step)", "CHANGED", *(ids[0] if ids else None for ids in (first, second))
        )
    without = [{k: v for k, v in document.items() if k != "steps"} for document in (before, after)]
    yield from _differences(without[0], without[1], "")


def _differences(before: Any, after: Any, path: str) -> Iterator[KeyChange]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            yield from _difference(before, after, key, join_path(path, key))
    elif isinstance(before, list) and isinstance(after, list):
        old, new = dict(enumerate(before)), dict(enumerate(after))
        for index in range(max(len(old), len(new))):
            yield from _difference(old, new, index, extend_path(path, f"[{index}]"))
    elif not json_equal(before, after):
        yield KeyChange(path, "CHANGED", before, after)


def _difference(
    before: Mapping[Any, Any], after: Mapping[Any, Any], key: Any, path: str
) -> Iterator[KeyChange]:
    if key not in before:
        yield KeyChange(path, "ADDED", None, after[key])
    elif key not in after:
        yield KeyChange(path, "REMOVED", before[key], None)
    else:
        yield from _differences(before[key], after[key], path)
