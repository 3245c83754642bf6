"""Checks what expressions refer to: names of the scope, and steps that can have run by then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from core.expressions import ROOT_NAMES, Expression, Template
from workflows.definition import Definition, Findings, Step, extend_path
from workflows.validation.graph import TOP, StepGraph, list_of

STEP_FIELDS = ("output", "status", "error")
EXECUTION_FIELDS = ("id", "workflow", "started_at", "started_by")
ELEMENT_NAMES = ("item", "index")
EVENT_NAME = "event"

# The templates that are rendered before a step does anything.
_BEFOREHAND = ("input", "output", "error", "over", "seconds", "until", "event", "due")


class ExpressionUse(NamedTuple):
    """An expression, where it stands, and whose it is.

    `after` says that the step's own outcome is among `steps` by then, `has_output` that `output` is
    in scope, `has_event` that `event` is.
    """

    path: str
    expression: Expression
    step: Step | None
    after: bool = False
    has_output: bool = False
    has_event: bool = False


def uses_of(definition: Definition, paths: Mapping[str, str]) -> Iterator[ExpressionUse]:
    """Give every expression of a definition."""
    for step in definition.steps.values():
        yield from _uses_before(step, paths[step.id])
        yield from _uses_after(step, paths[step.id])
    for leaf_path, expression in _leaves(definition.output, "output"):
        yield ExpressionUse(leaf_path, expression, None, has_output=True)


def _uses_before(step: Step, path: str) -> Iterator[ExpressionUse]:
    if step.when is not None:
        yield ExpressionUse(f"{path}.when", step.when, step)
    for key in _BEFOREHAND:
        for leaf_path, expression in _leaves(getattr(step, key), f"{path}.{key}"):
            yield ExpressionUse(leaf_path, expression, step)
    if step.match is not None:
        yield ExpressionUse(f"{path}.match", step.match, step, has_event=True)


def _uses_after(step: Step, path: str) -> Iterator[ExpressionUse]:
    for index, route in enumerate(step.next):
        if route.when is not None:
            yield ExpressionUse(f"{path}.next[{index}].when", route.when, step, True, True)
    if step.fallback is not None:
        for leaf_path, expression in _leaves(step.fallback.output, f"{path}.fallback.output"):
            yield ExpressionUse(leaf_path, expression, step, after=True)
    if step.compensate is not None:
        for leaf_path, expression in _leaves(step.compensate.input, f"{path}.compensate.input"):
            yield ExpressionUse(leaf_path, expression, step, True, True)


def _leaves(template: Template | None, path: str) -> Iterator[tuple[str, Expression]]:
    for inner, expression in template.expressions if template is not None else ():
        yield extend_path(path, inner), expression


def check_references(uses: list[ExpressionUse], graph: StepGraph, findings: Findings) -> None:
    """Refuse what an expression reads and cannot be there."""
    for use in uses:
        for reference in sorted(use.expression.references):
            _check_reference(reference, use, graph, findings)


def _check_reference(
    reference: tuple[str, ...], use: ExpressionUse, graph: StepGraph, findings: Findings
) -> None:
    root = reference[0]
    if root == EVENT_NAME:
        if not use.has_event:
            findings.refuse(use.path, "'event' is only there in the 'match' of an EVENT step.")
    elif root not in ROOT_NAMES:
        names = (*ROOT_NAMES, EVENT_NAME) if use.has_event else ROOT_NAMES
        findings.refuse(
            use.path,
            f"There is no '{root[:100]}' to read{findings.suggest(root, names)} "
            f"An expression reads {', '.join(names)}.",
        )
    elif root in ELEMENT_NAMES:
        if not _is_inside_map(use, graph):
            findings.refuse(use.path, f"'{root}' is only there inside a MAP step.")
    elif root == "output":
        _check_own_output(use, findings)
    elif root == "execution" and len(reference) > 1:
        _check_field(reference[1], EXECUTION_FIELDS, use.path, "execution", findings)
    elif root == "steps" and len(reference) > 1:
        _check_step_reference(reference, use, graph, findings)


def _is_inside_map(use: ExpressionUse, graph: StepGraph) -> bool:
    if use.step is None:
        return False
    steps = graph.definition.steps
    return any(steps[name].kind == "MAP" for name in graph.around(use.step.id)[1:])


def _check_own_output(use: ExpressionUse, findings: Findings) -> None:
    if not use.has_output:
        findings.refuse(
            use.path,
            "'output' is a step's own and is only there in the conditions of its 'next', in its "
            "'compensate', and in the definition's 'output'; elsewhere write steps.<id>.output.",
        )


def _check_field(
    name: str, names: tuple[str, ...], path: str, owner: str, findings: Findings
) -> None:
    if name not in names:
        findings.refuse(
            path,
            f"'{owner}' has {', '.join(names)}, not '{name[:100]}'{findings.suggest(name, names)}",
        )


def _check_step_reference(
    reference: tuple[str, ...], use: ExpressionUse, graph: StepGraph, findings: Findings
) -> None:
    steps = graph.definition.steps
    name = graph.resolve(reference[1])
    if name is None:
        findings.refuse(
            use.path,
            f"There is no step '{reference[1][:100]}'{findings.suggest(reference[1], steps)}",
        )
        return
    if len(reference) > 2:
        _check_field(reference[2], STEP_FIELDS, use.path, f"steps.{name}", findings)
    if not _can_have_run(name, use, graph):
        findings.refuse(use.path, _why_it_cannot(name, use, graph))


def _can_have_run(name: str, use: ExpressionUse, graph: StepGraph) -> bool:
    around = graph.around(use.step.id) if use.step is not None else []
    if {list_of(graph.definition.steps[part]) for part in around} & graph.torn:
        return True
    if use.step is None:
        own = graph.definition.steps[name]
        return own.container is None and (name in graph.reachable or TOP in graph.torn)
    if not graph.is_reached(use.step.id):
        return True
    return graph.is_visible(name, use.step.id) or (use.after and name == use.step.id)


def _why_it_cannot(name: str, use: ExpressionUse, graph: StepGraph) -> str:
    steps = graph.definition.steps
    own = graph.around(use.step.id) if use.step is not None else []
    if name in own[1:]:
        return f"The step '{name}' is around this one, and has not ended by then."
    lists = {list_of(steps[part]) for part in own} or {TOP}
    outer = next(part for part in graph.around(name) if list_of(steps[part]) in lists)
    if outer in own[1:]:
        return f"The step '{name}' is in another branch of '{outer}', which runs at the same time."
    if outer != name:
        return (
            f"The step '{name}' is inside of '{outer}' and can only be read there; read the output "
            f"of '{outer}' instead."
        )
    return (
        f"The step '{name}' cannot have run by then: no way through the steps comes from it to "
        "here."
    )
