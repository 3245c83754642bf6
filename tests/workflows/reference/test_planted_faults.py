"""The comparison can fail: faults planted in the engine are found by generated definitions."""

from dataclasses import replace

import pytest
from django.db import DatabaseError
from hypothesis import Phase

from tests.workflows.reference.cases import Case, Script
from tests.workflows.reference.hand import Troubles
from tests.workflows.reference.properties import check, examples, hold
from workflows import compensation
from workflows.decide import (
    BranchResult,
    ExecutionState,
    Finish,
    approvals,
    branches,
    child_workflows,
    local_steps,
    outcomes,
    routing,
    waits,
)
from workflows.decide import compensation as compensation_decisions
from workflows.definition import RetryPolicy
from workflows.engine.store import recorder, step_facts
from workflows.exceptions import WorkflowError
from workflows.models import WorkflowStep

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # It is the comparison that is tested here, and one database is enough for that.
    pytest.mark.once,
]
MODULES = (
    branches,
    local_steps,
    waits,
    approvals,
    child_workflows,
    outcomes,
    routing,
    step_facts,
    recorder,
)


def put(patch, name, wrap):
    """Replace a function everywhere by `wrap(the function)`."""
    holders = [module for module in MODULES if hasattr(module, name)]
    made = wrap(getattr(holders[0], name))
    for module in holders:
        patch.setattr(module, name, made)


def blind_to(field, value, function):
    """A plant: the function sees each step without what `field` says."""

    def plant(patch):
        def wrap(original):
            return lambda turn, *rest, **more: original(
                replace(turn, step=replace(turn.step, **{field: value})), *rest, **more
            )

        put(patch, function, wrap)

    return plant


def retry_once_too_often(patch):
    allows = RetryPolicy.allows
    patch.setattr(RetryPolicy, "allows", lambda self, n, **more: allows(self, n - 1, **more))


def ignore_fallback(patch):
    def end(turn, described):
        error = WorkflowError(described["message"], code=described["code"])
        return outcomes.end_failed(turn, error)

    put(patch, "_fall_back", lambda _: end)


def wait_for_all_branches(patch):
    begin = branches.begin_parallel
    blind = lambda turn: begin(replace(turn, step=replace(turn.step, join="ALL")))  # noqa: E731
    patch.setitem(routing.BEGIN, "PARALLEL", blind)


def reverse_elements(patch):
    def wrap(original):
        def outputs(step, row, results):
            found = original(step, row, results)
            return found[::-1] if step.kind == "MAP" else found

        return outputs

    put(patch, "_outputs_of", wrap)


def ignore_output_template(patch):
    put(patch, "finish", lambda _: lambda state: Finish("COMPLETED", output=state.last_output))


def forget_visits(patch):
    def wrap(original):
        def enter(before, step):
            before.execution.visits.clear()
            return original(before, step)

        return enter

    put(patch, "_enter", wrap)


def take_the_first_route(patch):
    put(
        patch,
        "route",
        lambda _: lambda turn, _: turn.step.next[0].step if turn.step.next else None,
    )


def keep_the_document_as_it_was(patch):
    def enter(state, *, item, index):
        state.item, state.index = item, index

    patch.setattr(ExecutionState, "enter_element", enter)


def give_what_branches_have_so_far(patch):
    def results(transaction, claim):
        answer = transaction.execute(
            "SELECT scope, step_id, output FROM workflow_step WHERE execution_id = %(execution)s"
            " AND status = 'COMPLETED' ORDER BY completed_at, id",
            execution=transaction.dialect.id(claim.execution.id),
        )
        found = {}
        for scope, step_id, output in answer.fetchall():
            container, _, index = scope.rpartition("/")
            if container == claim.row.path:
                made = step_facts.read_json(output)
                found[int(index)] = BranchResult(int(index), step_id, made)
        return list(found.values())

    patch.setattr(step_facts, "_load_results", results)


def leave_branches_going(patch):
    patch.setattr(recorder.Recorder, "_abandon", lambda *_: None)


def take_signals_again(patch):
    put(patch, "taken_signals", lambda _: lambda *_: set())


def ignore_fences(patch):
    settle_rows = recorder.Recorder._settle_rows

    def settle(self, settled):
        for item in settled:
            item.claim.fence = WorkflowStep.objects.get(pk=item.claim.row.id).fence
        return settle_rows(self, settled)

    patch.setattr(recorder.Recorder, "_settle_rows", settle)


def undo_the_first_first(patch):
    patch.setattr(
        compensation, "_last_completed", lambda execution, names: _first(execution, names)
    )


def _first(execution, names):
    rows = execution.steps.filter(status="COMPLETED", step_id__in=names)
    rows = rows.exclude(path__startswith="~").order_by("completed_at", "id")
    return rows.values_list("step_id", "path").first()


def undo_without_input(patch):
    original = compensation_decisions._input_of
    without = lambda state, row, *, now: original(state, row, now=now) and {}  # noqa: E731
    patch.setattr(compensation_decisions, "_input_of", without)


FAULTS = [
    retry_once_too_often,
    ignore_fallback,
    wait_for_all_branches,
    ignore_output_template,
    forget_visits,
    take_the_first_route,
    keep_the_document_as_it_was,
    give_what_branches_have_so_far,
    leave_branches_going,
    pytest.param(blind_to("on_error", (), "fail"), id="ignore_on_error"),
    pytest.param(blind_to("optional", False, "fail"), id="ignore_optional"),
    pytest.param(blind_to("when", None, "_begin"), id="ignore_when"),
]


@pytest.mark.slow
@pytest.mark.parametrize("plant", FAULTS)
def test_planted_fault_is_found(plant, monkeypatch):
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        hold(Troubles(shuffle=60), examples(300, phases=[Phase.generate]))


def _undoing() -> Case:
    undo = {"service": "s", "action": "undo", "input": {"made": "$.output.n"}}
    steps = [
        {"id": "a", "service": "s", "action": "a", "compensate": undo, "next": "b"},
        {"id": "b", "service": "s", "action": "a", "compensate": undo, "next": "end"},
        {"id": "end", "type": "FAIL", "error": {"message": "No."}},
    ]
    return Case({"steps": steps}, {}, Script({"a": [[{"n": 1}]], "b": [[{"n": 2}]]}))


def _two_elements() -> Case:
    echo = {"id": "echo", "type": "TRANSFORM", "output": "$.item"}
    steps = [{"id": "all", "type": "MAP", "over": "$.input.items", "steps": [echo]}]
    return Case({"steps": steps}, {"items": [{"n": 1}, {"n": 2}]}, Script({}))


def _one_signal_for_two() -> Case:
    steps = [
        {"id": "a", "type": "EVENT", "event": "paid", "next": "b"},
        {"id": "b", "type": "EVENT", "event": "paid"},
    ]
    return Case({"steps": steps}, {}, Script({}), late=(("paid", {"n": 1}),))


# What takes a coincidence among generated definitions: two steps to undo and a failure after them.
RARE = [
    (undo_the_first_first, _undoing()),
    (undo_without_input, _undoing()),
    (reverse_elements, _two_elements()),
    (take_signals_again, _one_signal_for_two()),
]


@pytest.mark.parametrize(("plant", "case"), RARE)
def test_planted_fault_is_found_where_it_shows(plant, case, monkeypatch):
    check([case], 0, Troubles())
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check([case], 0, Troubles())


@pytest.mark.slow
def test_planted_fault_of_the_fence_is_found(monkeypatch):
    ignore_fences(monkeypatch)
    with pytest.raises((AssertionError, DatabaseError)):
        hold(Troubles(shuffle=60, stale=50), examples(100, phases=[Phase.generate]))
