"""Runs an ended execution again from one of its steps, keeping what came before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from django.db import transaction

from core import audit
from core.exceptions import Conflict, UseDenied, ValidationFailed
from core.json.equality import json_equal
from core.models import AuditVerb
from workflows.definition import Definition, Step
from workflows.definition_cache import usable_definition
from workflows.execution_rows import (
    Origin,
    Start,
    caller_context,
    check_startable,
    hub_context,
)
from workflows.models import (
    ENDED,
    StepStatus,
    WorkflowExecution,
    WorkflowStep,
    WorkflowVersion,
)
from workflows.services.definitions.retirement import OPERATE
from workflows.services.executions.control import lock_execution
from workflows.services.executions.kept_approvals import (
    Asked,
    asked_in,
    gates_before,
    void_ones,
)
from workflows.services.executions.start import (
    Started,
    known_execution,
    start_execution,
    version_of,
)
from workflows.validation.graph import StepGraph
from workflows.validation.references import uses_of

NEWEST: Literal["newest"] = "newest"
# Errors of a step after which the execution went on.
_PASSED_OVER = ("ROUTED", "FALLBACK", "OPTIONAL")
_COPIED = (
    "step_id", "path", "attempt", "name", "status", "service", "instance", "action", "input",
    "output", "error", "warnings", "started_at", "completed_at", "total", "begun", "done", "failed",
    "needed", "tolerated",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Rerun:
    """What to do otherwise than the first time.

    `from_step` is a path at the top, the first step of the version unless given. `input` replaces
    the execution's, `step_input` is what the call of `from_step` is given. `version` is a number,
    or "newest"; the execution's own unless given.
    """

    from_step: str | None = None
    input: Mapping[str, Any] | None = None
    step_input: Mapping[str, Any] | None = None
    version: int | Literal["newest"] | None = None


def rerun_execution(execution_id: Any, rerun: Rerun, start: Start) -> Started:
    """Start a new execution that takes over what the steps before `from_step` came to.

    Those are not called again. `start` says who asks, and its Idempotency-Key; the input and the
    context are the execution's. An approval is kept only where everything is as it was, and by one
    rerun; else the rerun begins at the step that asks.

    Raises:
        Conflict: it has not ended, the step was not reached, or a step to be kept was undone; or
            what is edited lies behind an approval that cannot be asked again.
        UseDenied: something is to be otherwise than the first time, and `start` may not say that.
        ValidationFailed: there is no such step or version.
    """
    with transaction.atomic():
        original = lock_execution(execution_id)
        workflow = original.workflow
        if workflow is None or original.version is None:
            raise Conflict("The workflow of this execution was deleted, so it cannot run again.")
        start = replace(
            start,
            input=original.input if rerun.input is None else rerun.input,
            context={**_kept_context(original, start), **start.context},
            noted={**_kept_facts(original, rerun), **start.noted},
            correlation_id=original.correlation_id,
            priority=original.priority,
        )
        version = _version_for(original, rerun)
        edits = _edits_of(original, rerun, start, version)
        _check_may_edit(edits, start)
        path = rerun.from_step or usable_definition(version).first
        wanted = Origin(original, path, version=version, step_input=rerun.step_input)
        earlier = known_execution(workflow, replace(start, origin=wanted))
        if earlier is not None:
            return Started(earlier, created=False)
        if original.status not in ENDED:
            raise Conflict(
                f"The execution is {original.status}; only one that has ended can be rerun."
            )
        check_startable(workflow)
        origin = _origin_of(wanted, edits)
        started = start_execution(workflow, replace(start, origin=origin))
        if origin.carries_approval:
            original.approvals_reused = True
            original.save(update_fields=("approvals_reused", "updated_at"))
        changes = {"from_step": origin.path, "edits": edits, "execution": started.execution.pk}
        audit.record(AuditVerb.RERUN, original, changes=changes)
        return started


def _edits_of(
    original: WorkflowExecution, rerun: Rerun, start: Start, version: WorkflowVersion
) -> list[str]:
    """Return what is to be otherwise than the first time, by the names of the fields."""
    before = caller_context(original.context)
    edits = {
        "input_data": not json_equal(dict(start.input), original.input),
        "context": any(
            name not in before or not json_equal(value, before[name])
            for name, value in caller_context(start.context).items()
        ),
        "step_input": rerun.step_input is not None,
        "version": version.pk != original.version_id,
    }
    return [name for name, is_edited in edits.items() if is_edited]


def _check_may_edit(edits: Sequence[str], start: Start) -> None:
    if edits and not start.may_operate:
        raise UseDenied(
            f"A rerun with another {edits[0]} needs the scope {OPERATE}; without it an execution"
            " runs again as it was."
        )


def _kept_context(original: WorkflowExecution, start: Start) -> dict[str, Any]:
    """Return the context that a rerun takes over, without what was noted of the request."""
    said = caller_context(original.context)
    return {name: value for name, value in said.items() if name not in start.noted}


def _kept_facts(original: WorkflowExecution, rerun: Rerun) -> dict[str, Any]:
    """Return what the hub said of where the input came from, unless that is another one now."""
    is_same = rerun.input is None or json_equal(dict(rerun.input), original.input)
    return hub_context(original.context) if is_same else {}


def _version_for(original: WorkflowExecution, rerun: Rerun) -> WorkflowVersion:
    assert original.workflow is not None
    assert original.version is not None
    if rerun.version is None:
        return original.version
    if rerun.version == NEWEST:
        newest = original.workflow.versions.order_by("-number").first()
        return newest or original.version
    return version_of(original.workflow, rerun.version)


def _origin_of(wanted: Origin, edits: Sequence[str]) -> Origin:
    """Say what is kept, and check that the rest can run."""
    original, path = wanted.execution, wanted.path
    assert original.version is not None
    definition, before = usable_definition(wanted.version), usable_definition(original.version)
    step = _step_at(path, definition)
    if wanted.step_input is not None and step.kind != "ACTION":
        _refuse("step_input", f"'{path}' is a {step.kind}; only an ACTION is given an input.")
    rows = [r for r in original.steps.filter(scope="") if not r.path.startswith("~")]
    entered = min((r for r in rows if r.path == path), key=lambda r: r.attempt, default=None)
    if entered is None and path != definition.first:
        raise Conflict(
            f"The execution did not reach '{path}'. It reached: {_names(rows, definition)}."
        )
    if wanted.version.pk != original.version_id:
        _check_readable(step, definition, before)
    kept = _kept_before(entered, rows, definition) if entered is not None else []
    asked = asked_in(kept, before)
    if edits and kept:
        _check_asked_again(step, definition, asked)
    void = void_ones(asked, original, is_changed=bool(edits))
    if void:
        if wanted.step_input is not None:
            raise Conflict(
                f"'{path}' lies behind the approval of '{void[0].path}', which was given for what"
                f" it got then. Rerun from '{void[0].path}', without step_input."
            )
        return _origin_of(replace(wanted, path=void[0].path, asked_path=path), edits)
    copies = tuple(_copy_of(row, before) for row in kept)
    return replace(
        wanted, step=step, kept=copies, carries_approval=any(each.approved for each in asked)
    )


def _check_asked_again(step: Step, definition: Definition, asked: Sequence[Asked]) -> None:
    """Refuse edits behind an approval that the execution went around, as it was then.

    Raises:
        Conflict: whether it is to be asked now is decided before the rerun would begin.
    """
    reached = {each.row.step_id for each in asked}
    missed = [name for name in gates_before(step.id, definition) if name not in reached]
    if missed:
        raise Conflict(
            f"'{step.id}' can be reached by '{missed[0]}', which asks people and which the"
            " execution went around as it was. With anything else than that, rerun from"
            f" '{definition.first}'."
        )


def _step_at(path: str, definition: Definition) -> Step:
    """Return the step of a path at the top, such as `pack` or, for its second visit, `pack#2`."""
    outer, _, inner = path.partition("/")
    step = definition.steps.get(outer.partition("#")[0])
    if step is not None and step.container is not None:
        outer, inner = _outermost(step, definition), step.id
    elif step is None:
        ids = ", ".join(s.id for s in definition.steps.values() if s.container is None)
        _refuse("from_step", f"There is no step '{path[:100]}' in this version; it has {ids}.")
    if inner:
        _refuse(
            "from_step",
            f"'{path[:100]}' lies inside '{outer}', which runs as a whole. Rerun from '{outer}'.",
        )
    assert step is not None
    return step


def _outermost(step: Step, definition: Definition) -> str:
    while step.container is not None:
        step = definition.steps[step.container]
    return step.id


def _names(rows: Iterable[WorkflowStep], definition: Definition) -> str:
    paths = dict.fromkeys(row.path for row in rows if row.step_id in definition.steps)
    return ", ".join(paths) or "none of its steps"


def _kept_before(
    entered: WorkflowStep, rows: Iterable[WorkflowStep], definition: Definition
) -> list[WorkflowStep]:
    """Return the last attempt at each path that was over when one was entered, by their ends.

    One step at a time runs at the top, so what ended before this one did, ended before it began.
    What the version does not have any more is left out.
    """
    latest: dict[str, WorkflowStep] = {}
    for row in sorted(rows, key=lambda row: row.attempt):
        if row.path != entered.path and row.step_id in definition.steps and _ends(row, entered):
            latest[row.path] = row
    for row in latest.values():
        if row.status == StepStatus.COMPENSATED:
            raise Conflict(
                f"What '{row.path}' did was undone, so it cannot be kept. Rerun from it, or from"
                " an earlier step."
            )
    kept = [row for row in latest.values() if _was_passed(row)]
    return sorted(kept, key=lambda row: (row.completed_at, row.id))


def _ends(row: WorkflowStep, entered: WorkflowStep) -> bool:
    """Return whether a row ended before another did."""
    if row.completed_at is None or entered.completed_at is None:
        return row.completed_at is not None
    return (row.completed_at, row.id) < (entered.completed_at, entered.id)


def _was_passed(row: WorkflowStep) -> bool:
    if row.status in (StepStatus.COMPLETED, StepStatus.SKIPPED):
        return True
    return row.status == StepStatus.FAILED and (row.error or {}).get("handled") in _PASSED_OVER


def _copy_of(row: WorkflowStep, definition: Definition) -> WorkflowStep:
    """Return the row for the new execution: with a new id, and the times of what happened."""
    copied = WorkflowStep(reused=True, **{name: getattr(row, name) for name in _COPIED})
    spec = definition.steps.get(row.step_id)
    if spec is not None and spec.kind == "EVENT" and isinstance(row.input, dict):
        # They number signals of the other execution.
        numbers = ("taken", "set_aside")
        copied.input = {key: value for key, value in row.input.items() if key not in numbers}
    return copied


def _check_readable(step: Step, definition: Definition, before: Definition) -> None:
    """Refuse a start behind steps that are new in the version and that later ones read.

    Raises:
        Conflict: a step that neither ran nor will run is read.
    """
    graph = StepGraph(definition)
    ahead = {step.id, *_reachable_from(step.id, graph)}
    for use in uses_of(definition, dict.fromkeys(definition.steps, "")):
        if use.step is not None and graph.around(use.step.id)[-1] not in ahead:
            continue
        for written in use.expression.step_ids:
            name = graph.resolve(written)
            if name is not None and name not in before.steps and _top(name, graph) not in ahead:
                reader = f"'{use.step.id}'" if use.step else "its output"
                raise Conflict(
                    f"In this version {reader} reads '{name}', which the execution did not have."
                    f" Rerun from '{_top(name, graph)}', or from an earlier step."
                )


def _top(name: str, graph: StepGraph) -> str:
    return graph.around(name)[-1]


def _reachable_from(name: str, graph: StepGraph) -> set[str]:
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        for follower in graph.followers[waiting.pop()]:
            if follower not in seen:
                seen.add(follower)
                waiting.append(follower)
    return seen


def _refuse(field: str, sentence: str) -> None:
    raise ValidationFailed(sentence, errors={field: [sentence]})
