"""Visibility: the outcomes of steps that a scope of an execution can see."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from workflows.decide.state import ExecutionState
from workflows.definition.step_paths import visible_scopes


class StepOutcome(NamedTuple):
    """The outcome of one attempt at a step."""

    step_id: str
    path: str
    status: str
    output: Any
    error: Any


def recall(
    execution: ExecutionState,
    outcomes_of: Callable[[str], Iterable[StepOutcome]],
    elements_of: Callable[[str], list[Any]],
    *,
    step_id: str = "",
    path: str = "",
) -> None:
    """Fill a new state with what its scope can see, from the outside in.

    `outcomes_of` gives those of a scope in the order of their end, `elements_of` the list that the
    MAP at a path goes over: an element is in view before what its own steps came to. `step_id` and
    `path` are of the row at hand, which counts as a visit.
    """
    paths: dict[str, set[str]] = {step_id: {path}} if step_id else {}
    for scope in visible_scopes(execution.scope):
        outside = scope != execution.scope
        _enter_element(execution, scope, elements_of)
        for outcome in outcomes_of(scope):
            if not outside:
                paths.setdefault(outcome.step_id, set()).add(outcome.path)
            execution.learn(
                outcome.step_id,
                status=outcome.status,
                output=outcome.output,
                error=outcome.error,
                outside=outside,
            )
    execution.visits = {name: len(visits) for name, visits in paths.items()}


def _enter_element(
    execution: ExecutionState, scope: str, elements_of: Callable[[str], list[Any]]
) -> None:
    """Put the item at hand in view, if the scope is an element of a MAP."""
    path, _, index = scope.rpartition("/")
    step_id = path.rpartition("/")[2].partition("#")[0]
    if path and execution.definition.steps[step_id].kind == "MAP":
        execution.enter_element(item=elements_of(path)[int(index)], index=int(index))
