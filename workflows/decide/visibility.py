"""What one place of an execution can see of what its steps came to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from workflows.decide.state import Run
from workflows.step_paths import visible_scopes


class Outcome(NamedTuple):
    """What one attempt at a step came to."""

    step_id: str
    path: str
    status: str
    output: Any
    error: Any


def recall(
    run: Run,
    outcomes_of: Callable[[str], Iterable[Outcome]],
    elements_of: Callable[[str], list[Any]],
    *,
    step_id: str = "",
    path: str = "",
) -> None:
    """Let a new run know what its scope can see, from the outside in.

    `outcomes_of` gives those of a scope in the order of their end, `elements_of` the list that the
    MAP at a path goes over: an element is in view before what its own steps came to. `step_id` and
    `path` are of the row at hand, which counts as a visit.
    """
    paths: dict[str, set[str]] = {step_id: {path}} if step_id else {}
    for scope in visible_scopes(run.scope):
        outside = scope != run.scope
        _enter_element(run, scope, elements_of)
        for found in outcomes_of(scope):
            if not outside:
                paths.setdefault(found.step_id, set()).add(found.path)
            run.learn(
                found.step_id,
                status=found.status,
                output=found.output,
                error=found.error,
                outside=outside,
            )
    run.visits = {name: len(places) for name, places in paths.items()}


def _enter_element(run: Run, scope: str, elements_of: Callable[[str], list[Any]]) -> None:
    """Put the item at hand in view, if the scope is an element of a MAP."""
    path, _, index = scope.rpartition("/")
    step_id = path.rpartition("/")[2].partition("#")[0]
    if path and run.definition.steps[step_id].kind == "MAP":
        run.enter_element(item=elements_of(path)[int(index)], index=int(index))
