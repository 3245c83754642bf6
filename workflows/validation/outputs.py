"""Warns of what expressions read of outputs that surely do not have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from workflows.definition import Definition, Findings, Step
from workflows.validation.graph import StepGraph
from workflows.validation.references import ExpressionUse
from workflows.validation.references_lookup import ActionInfo


def warn_of_unknown_outputs(
    uses: list[ExpressionUse],
    graph: StepGraph,
    actions: Mapping[str, ActionInfo],
    findings: Findings,
) -> None:
    """Doubt what reads a property that a step's output is not known to have."""
    properties: dict[str, set[str]] = {}
    for use, name, key in _properties_read(uses, graph):
        step = graph.definition.steps[name]
        if step.kind == "MAP" and (step.fallback is None or step.fallback.output is None):
            findings.doubt(
                use.path,
                f"The output of '{name}' is a list, so it has no '{key[:100]}'; the elements' are "
                "read with output[].",
            )
            continue
        if name not in properties:
            properties[name] = _output_names(step, graph.definition, actions.get(name))
        if properties[name] and key not in properties[name]:
            findings.doubt(
                use.path,
                f"The output of '{name}' names {', '.join(sorted(properties[name]))}, not "
                f"'{key[:100]}'{findings.suggest(key, properties[name])}",
            )


def _properties_read(
    uses: list[ExpressionUse], graph: StepGraph
) -> Iterator[tuple[ExpressionUse, str, str]]:
    """Give each reading of a property of a step's output: the step's id, and the property."""
    for use in uses:
        for reference in sorted(use.expression.references):
            if len(reference) < 4 or reference[0] != "steps" or reference[2] != "output":
                continue
            name = graph.resolve(reference[1])
            if name is not None:
                yield use, name, reference[3]


def _output_names(step: Step, definition: Definition, action: ActionInfo | None) -> set[str]:
    """Return the properties that a step's output may have; empty where they cannot be told."""
    if step.kind == "PARALLEL":
        names = _ends(step, definition)
    else:
        properties = (action.output_schema or {}).get("properties") if action else None
        names = set(properties) if isinstance(properties, dict) else set()
    stand_in = step.fallback.output if step.fallback is not None else None
    if stand_in is None or not names:
        return names
    return names | set(stand_in.source) if isinstance(stand_in.source, dict) else set()


def _ends(parallel: Step, definition: Definition) -> set[str]:
    """Return the steps at which the branches of a PARALLEL may end; their outputs are its own."""
    steps = definition.steps
    inside = (steps[name] for block in parallel.branches for name in block.steps)
    return {step.id for step in inside if _may_end(step)}


def _may_end(step: Step) -> bool:
    if step.kind == "FAIL" and step.when is None:
        return False
    if step.kind == "SUCCEED" or not step.next:
        return True
    ends = [route.step is None for route in step.next]
    return any(ends) or any(route.step is None for route in step.on_error)
