"""Binds the names in a definition to the ids of the rows that they stood for when it was saved.

So a step goes on calling whom it meant when that has another name, or somebody else has its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from workflows.definition.model import Compensation, Definition, Step, StepTarget

# What a step names by id or name, by its key.
NAMED_KINDS = ("service", "connection", "integration", "workflow")
# By kind, then by the name in lower case: the id.
Bindings = Mapping[str, Mapping[str, str]]


def names_in(steps: Any) -> Iterator[tuple[str, str]]:
    """Kind and name of everything that the steps of a document name."""
    for caller in _callers(steps):
        for kind in NAMED_KINDS:
            if isinstance(caller.get(kind), str) and caller[kind].strip():
                yield kind, caller[kind].strip()


def rename_in(steps: Any, kind: str, before: str, after: str) -> bool:
    """Put a new name in place of the one before, in the steps at hand; whether there was one."""
    is_renamed = False
    for caller in _callers(steps):
        written = caller.get(kind)
        if isinstance(written, str) and written.strip().lower() == before.lower():
            caller[kind], is_renamed = after, True
    return is_renamed


def _callers(steps: Any) -> Iterator[dict[str, Any]]:
    """Yield every step of a list, with those inside of it, and what undoes it."""
    for step in steps if isinstance(steps, list) else ():
        if not isinstance(step, dict):
            continue
        yield step
        if isinstance(step.get("compensate"), dict):
            yield step["compensate"]
        yield from _callers(step.get("steps"))
        branches = step.get("branches")
        for branch in branches if isinstance(branches, list) else ():
            yield from _callers(branch)


def bind(definition: Definition, bindings: Bindings) -> Definition:
    """Add the ids to what a definition names."""
    if not any(bindings.values()):
        return definition
    steps = {name: _bound_step(step, bindings) for name, step in definition.steps.items()}
    return replace(definition, steps=steps)


def _bound_step(step: Step, bindings: Bindings) -> Step:
    child = _id_of(bindings, "workflow", step.workflow) if step.workflow else ""
    undo = step.compensate and _bound_compensation(step.compensate, bindings)
    return replace(step, target=_bound(step.target, bindings), workflow_id=child, compensate=undo)


def _bound_compensation(undo: Compensation, bindings: Bindings) -> Compensation:
    target = _bound(undo.target, bindings)
    assert target is not None
    return replace(undo, target=target)


def _bound(target: StepTarget | None, bindings: Bindings) -> StepTarget | None:
    if target is None:
        return None
    return replace(target, id=_id_of(bindings, target.kind, target.name))


def _id_of(bindings: Bindings, kind: str, name: str) -> str:
    return bindings.get(kind, {}).get(name.strip().lower(), "")
