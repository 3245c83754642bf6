"""Dry runs: they decide as the engine does, and nothing is stored or called."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.exceptions import ValidationFailed
from core.json.schema import Schema
from registry.calls.targets.resolver import CallTarget, ResolvedAction
from registry.exceptions import ServiceNotFoundError, ServiceUnavailableError
from tests.support.engine import (
    ScriptedClient,
    call,
    ended,
    make_workflow,
    running_engine,
    start,
)
from workflows.definition import parse
from workflows.dry_run import DryRunLimits, DryRunResult, execute_in_memory, read_mocks
from workflows.dry_run.fake_calls import Calls
from workflows.dry_run.samples import sample_of
from workflows.models import WorkflowExecution, WorkflowStep

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
OPEN = Schema({})


def resolver(
    input_schema: Schema = OPEN, output_schema: Schema = OPEN
) -> Callable[[CallTarget, str], ResolvedAction]:
    def resolve(target: CallTarget, action: str) -> ResolvedAction:
        if target.name == "nobody":
            raise ServiceNotFoundError("No service named 'nobody' found", service="nobody")
        return ResolvedAction(
            target.name, action, "POST", f"/{action}", input_schema, output_schema, None, True, ()
        )

    return resolve


def dry(
    steps: list[dict[str, Any]],
    mocks: dict[str, Any] | None = None,
    *,
    input: dict[str, Any] | None = None,
    limits: DryRunLimits | None = None,
    resolve: Any = None,
    **options: Any,
) -> DryRunResult:
    definition = parse({"steps": steps, **options})
    return execute_in_memory(
        definition,
        workflow="w",
        input=input or {},
        context={},
        calls=Calls(read_mocks(mocks or {}, definition), resolve or resolver()),
        now=NOW,
        limits=limits,
    )


def statuses(found: DryRunResult) -> list[tuple[str, int, str]]:
    return [(step.row.path, step.row.attempt, step.row.status) for step in found.steps]


def test_every_step_shows_its_input_its_output_and_where_it_went():
    steps = [
        call("a", next="b"),
        call("b", input={"text": "$.steps.a.output.text"}, next="shape"),
        {"id": "shape", "type": "TRANSFORM", "output": {"all": "$.steps.b.output"}},
    ]
    found = dry(
        steps,
        {"a": {"output": {"text": "t"}}, "b": {"output": {"n": 1}}},
        input={"url": "u"},
    )
    assert (found.status, found.output) == ("COMPLETED", {"all": {"n": 1}})
    assert [(s.row.input, s.row.output, s.next) for s in found.steps[:2]] == [
        ({"url": "u"}, {"text": "t"}, "b"),
        ({"text": "t"}, {"n": 1}, "shape"),
    ]
    assert (found.steps[0].mocked, found.steps[2].kind, found.warnings) == (True, "TRANSFORM", ())


def test_outcomes_are_taken_in_turn_by_attempts_and_visits_and_the_last_stays():
    retry = {"max_attempts": 3, "base_delay": 8, "jitter": False}
    steps = [
        call(
            "a",
            retry=retry,
            max_visits=9,
            next=[{"when": "output.again", "step": "a"}, {"step": None}],
        ),
    ]
    mock = [
        {"error": {"code": "service_unavailable"}},
        {"output": {"again": True}},
        {"error": {"code": "service_timeout"}},
        {"output": {"again": False}},
    ]
    found = dry(steps, {"a": mock})
    assert statuses(found) == [
        ("a", 1, "FAILED"),
        ("a", 2, "COMPLETED"),
        ("a#2", 1, "FAILED"),
        ("a#2", 2, "COMPLETED"),
    ]
    assert found.execution_time == 16


def test_waits_pass_at_once_in_virtual_time():
    steps = [
        {"id": "rest", "type": "WAIT", "seconds": 86_400, "next": "a"},
        call("a"),
    ]
    found = dry(steps, {"a": {"output": {}}})
    assert (found.status, found.execution_time) == ("COMPLETED", 86_400)
    assert found.steps[1].row.started_at == NOW + timedelta(days=1)


def test_events_approvals_and_children_take_their_mocks():
    steps = [
        {"id": "paid", "type": "EVENT", "event": "payment", "match": "event.ok", "next": "agree"},
        {"id": "agree", "type": "APPROVAL", "minimum": 2, "next": "child"},
        {"id": "child", "type": "WORKFLOW", "workflow": "other", "next": "end"},
        {
            "id": "end",
            "type": "TRANSFORM",
            "output": {
                "v": "$.[steps.paid.output.sum, steps.agree.output.form.b, steps.child.output.c]"
            },
        },
    ]
    mocks = {
        "paid": {"output": {"ok": True, "sum": 3}},
        "agree": {"output": {"form": {"b": 7}}},
        "child": {"output": {"c": 9}},
    }
    found = dry(steps, mocks)
    assert (found.status, found.output) == ("COMPLETED", {"v": [3, 7, 9]})
    assert len(found.steps[1].row.output["decisions"]) == 2
    refused = dry(steps, {**mocks, "agree": {"output": {"decision": "rejected", "comment": "No."}}})
    assert (refused.status, refused.errors[0]["code"]) == ("FAILED", "rejected")
    failed = dry(steps, {**mocks, "child": {"error": {"message": "lost"}}})
    assert (failed.errors[0]["code"], failed.errors[0]["message"]) == ("child_failed", "lost")


def test_signal_that_does_not_match_waits_for_its_timeout_or_for_ever():
    event = {"id": "paid", "type": "EVENT", "event": "payment", "match": "event.ok"}
    forever = dry([event], {"paid": {"output": {"ok": False}}})
    assert (forever.status, forever.complete) == ("WAITING", True)
    assert "It would wait for ever at paid." in forever.warnings
    bounded = dry([{**event, "timeout": 60}], {"paid": {"output": {"ok": False}}})
    assert (bounded.errors[0]["code"], bounded.execution_time) == ("event_timeout", 60)


def test_signal_that_cannot_be_judged_is_said_to_be_set_aside():
    event = {"id": "paid", "type": "EVENT", "event": "payment", "match": "add(event.n, `1`) > `5`"}
    found = dry([{**event, "timeout": 60}], {"paid": {"output": {"n": "six"}}})
    assert found.errors[0]["code"] == "event_timeout"
    assert any("Its signal would be set aside" in warning for warning in found.warnings)


def test_without_a_mock_the_output_is_a_sample_of_the_schema():
    schema = Schema(
        {
            "type": "object",
            "required": ["id", "tags"],
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "tags": {"type": "array", "items": {"enum": ["red", "blue"]}},
            },
        }
    )
    found = dry([call("a")], resolve=resolver(output_schema=schema))
    assert found.output == {"id": "00000000-0000-4000-8000-000000000000", "tags": ["red"]}
    assert (found.steps[0].sampled, found.steps[0].mocked) == (True, False)
    assert found.warnings == ("a: It has no mock: its output is a sample of the action's schema.",)


def test_input_that_the_action_refuses_fails_as_it_would():
    schema = Schema({"type": "object", "required": ["url"]})
    found = dry([call("a")], {"a": {"output": {}}}, resolve=resolver(schema))
    assert (found.status, found.errors[0]["code"]) == ("FAILED", "schema_violation")
    assert found.errors[0]["errors"] == {"$": ['"url" is a required property']}


def test_action_that_nobody_has_fails_unless_it_is_mocked():
    steps = [{"id": "a", "service": "nobody", "action": "x"}]
    assert dry(steps).errors[0]["code"] == "service_not_found"
    mocked = dry(steps, {"a": {"output": {"x": 1}}})
    assert mocked.output == {"x": 1}
    assert "were not checked" in mocked.warnings[0]


@pytest.mark.parametrize(
    ("mocks", "path", "sentence"),
    [
        ({"aa": {"output": 1}}, "mocks.aa", "There is no step 'aa'; did you mean a?"),
        ({"t": {"output": 1}}, "mocks.t", "'t' is a TRANSFORM, which runs as it is"),
        ({"a": {"out": 1}}, "mocks.a", 'Write {"output": ...}'),
        ({"a": []}, "mocks.a", "Give from 1 to 1000 outcomes"),
        ({"a": [{"output": 1}, 5]}, "mocks.a[1]", 'Write {"output": ...}'),
        ({"a": {"error": "x"}}, "mocks.a.error", "Write an object"),
        ({"a": {"error": {"kode": "x"}}}, "mocks.a.error.kode", "There is no such field"),
        ({"a": {"error": {"status": 9}}}, "mocks.a.error.status", "100 to 599"),
    ],
)
def test_mocks_that_cannot_be_used_are_refused(mocks, path, sentence):
    steps = [call("a", next="t"), {"id": "t", "type": "TRANSFORM", "output": {}}]
    with pytest.raises(ValidationFailed) as refused:
        dry(steps, mocks)
    assert sentence in refused.value.errors[path][0]


def test_endless_run_is_stopped_and_says_so():
    steps = [
        {"id": "rest", "type": "WAIT", "seconds": 1, "next": "a"},
        call("a", next="rest"),
    ]
    found = dry(steps, {"a": {"output": {}}}, limits=DryRunLimits(steps=50))
    assert (found.status, found.complete, len(found.steps)) == ("RUNNING", False, 50)
    assert "Stopped after 50 steps." in found.warnings
    late = dry(steps, {"a": {"output": {}}}, limits=DryRunLimits(virtual=timedelta(seconds=9)))
    assert late.complete is False
    slow = dry(steps, {"a": {"output": {}}}, limits=DryRunLimits(seconds=0))
    assert slow.complete is False


def test_deadline_of_the_definition_ends_it():
    steps = [{"id": "rest", "type": "WAIT", "seconds": 100}]
    found = dry(steps, timeout=10, defaults={})
    assert (found.status, found.errors[0]["code"]) == ("FAILED", "deadline_exceeded")
    assert (found.execution_time, statuses(found)) == (10, [("rest", 1, "CANCELLED")])


# --- As the engine ---

CASES: dict[str, Any] = {
    "chain": [call("a", next="b"), call("b", next="c"), call("c")],
    "choice": [
        call("a", next="pick"),
        {
            "id": "pick",
            "type": "CHOICE",
            "next": [{"when": "steps.a.output.n > `5`", "step": "b"}, {"step": "c"}],
        },
        call("b"),
        call("c"),
    ],
    "skipped": [call("a", when="input.never", next="b"), call("b")],
    "optional": [call("bad", optional=True, next="b"), call("b")],
    "fallback": [call("bad", fallback={"output": {"n": 8}}, next="b"), call("b")],
    "routed": [
        call("bad", on_error=[{"match": ["*"], "step": "c"}], next="b"),
        call("b"),
        call("c"),
    ],
    "failed": [call("a", next="bad"), call("bad", next="c"), call("c")],
    "branches": [
        {
            "id": "fork",
            "type": "PARALLEL",
            "branches": [[call("a", next="b"), call("b")], [call("c")]],
            "next": "end",
        },
        {"id": "end", "type": "TRANSFORM", "output": {"all": "$.steps.fork.output"}},
    ],
    "any": [
        {"id": "fork", "type": "PARALLEL", "join": "ANY", "branches": [[call("bad")], [call("c")]]},
    ],
    "failed branch": [
        {
            "id": "fork",
            "type": "PARALLEL",
            "branches": [[call("c")], [call("bad")]],
            "optional": True,
            "next": "b",
        },
        call("b"),
    ],
    "elements": [
        {
            "id": "each",
            "type": "MAP",
            "over": "$.input.list",
            "max_concurrency": 1,
            "steps": [call("a", input={"n": "$.item"}, next="c"), call("c")],
        }
    ],
    "tolerated": [
        {
            "id": "each",
            "type": "MAP",
            "over": "$.input.list",
            "max_concurrency": 1,
            "tolerate_failures": 1,
            "steps": [call("picky", input={"n": "$.item"})],
        }
    ],
    "nested": [
        {
            "id": "each",
            "type": "MAP",
            "over": "$.input.list",
            "max_concurrency": 1,
            "steps": [
                {
                    "id": "fork",
                    "type": "PARALLEL",
                    "branches": [[call("a", input={"n": "$.add(item, index)"})], [call("c")]],
                }
            ],
        }
    ],
    "ends early": [
        {
            "id": "stop",
            "type": "FAIL",
            "error": {"code": "no", "message": "$.input.why"},
            "when": "input.why",
            "next": "a",
        },
        call("a"),
    ],
    "loop": [
        call("up", max_visits=4, next=[{"when": "output.n < `4`", "step": "up"}, {"step": "c"}]),
        call("c"),
    ],
}  # fmt: skip
ANSWERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a": lambda d: {"n": d.get("n", 0) * 10},
    "b": lambda d: {"b": sorted(d)},
    "c": lambda d: {"c": d.get("n")},
    "up": lambda d: {"n": d.get("n", 0) + 1},
}
INPUT = {"n": 1, "list": [3, 4, 5], "why": "because"}


def answer(action: str, document: dict[str, Any]) -> Any:
    if action == "bad" or (action == "picky" and document["n"] == 4):
        raise ServiceUnavailableError("down", service="s", action=action)
    return ANSWERS.get(action, lambda d: d)(document)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", CASES)
def test_dry_run_comes_to_what_the_engine_comes_to(name):
    """Whatever the engine was answered is mocked; everything decided from it must be the same."""
    client = ScriptedClient(**{a: lambda d, a=a: answer(a, d) for a in (*ANSWERS, "bad", "picky")})
    execution = start(make_workflow(CASES[name]), INPUT)
    with running_engine(client, max_in_flight=1):
        real = ended(execution)
    found = dry(CASES[name], mocks_of(real), input=INPUT)
    assert (found.status, found.output) == (real.status, real.output)
    assert [e["code"] for e in found.errors] == [e["code"] for e in real.errors]
    assert {key(s.row): values(s.row) for s in found.steps} == {
        key(row): values(row) for row in real.steps.all()
    }
    assert found.warnings == ()


def mocks_of(execution: WorkflowExecution) -> dict[str, Any]:
    mocks: dict[str, Any] = {}
    for row in execution.steps.exclude(action="").order_by("started_at", "id"):
        if row.status == "SKIPPED" and not row.error:
            continue
        mocks.setdefault(row.step_id, []).append(mock_of(row))
    return mocks


def mock_of(row: WorkflowStep) -> dict[str, Any]:
    if row.error is None:
        return {"output": row.output}
    return {"error": {"code": row.error["code"], "message": row.error["message"]}}


def key(row: Any) -> tuple[str, int]:
    return row.path, row.attempt


def values(row: Any) -> tuple[Any, ...]:
    error = row.error and (row.error["code"], row.error["message"], row.error.get("handled"))
    counts = (row.total, row.begun, row.done, row.failed)
    return row.status, row.input, row.output, error, counts


@pytest.mark.django_db
def test_nothing_is_stored():
    dry([call("a")], {"a": {"output": {}}})
    assert (WorkflowExecution.objects.count(), WorkflowStep.objects.count()) == (0, 0)


# --- Samples ---


@pytest.mark.parametrize(
    ("schema", "sample"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "minLength": 6, "maxLength": 8}, "textxx"),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "number", "minimum": 0, "maximum": 1}, 0),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["string", "null"]}, "text"),
        ({"const": {"a": 1}}, {"a": 1}),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, 1),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"minProperties": 1}]}, {"a": 1}),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "array", "items": {"const": 0}}}}, [0]),
        ({"properties": {"child": {"$ref": "#"}}}, None),
    ],
)  # fmt: skip
def test_sample_fits_its_schema(schema, sample):
    made = sample_of(schema)
    assert Schema(schema).problems(made) == {}
    if sample is not None or schema.get("type") == "null":
        assert made == sample
