"""Reading the kinds that hold steps, wait, ask people or start workflows, and what is for all."""

import pytest

from core.expressions import compile_expression
from tests.support.definitions import action, parallel, refusals_of
from workflows.definition import (
    KINDS,
    NO_RETRY,
    Block,
    Compensation,
    ErrorRoute,
    RetryPolicy,
    StepTarget,
    parse,
    read,
)

LONG = 366 * 24 * 3600


def each(step_id, *steps, **keys):
    return {"id": step_id, "type": "MAP", "over": "$.input.items", "steps": [*steps], **keys}


def nested(levels):
    step = action("inmost")
    for level in range(levels):
        step = parallel(f"p{level}", [step])
    return step


# --- PARALLEL and MAP ------------------------------------------------------------------------


def test_steps_of_branches_are_in_the_definition_in_the_order_of_the_document():
    plan = parse(
        [
            parallel("p", [action("a", "b"), action("b")], [action("c")], next="d", join="any"),
            action("d"),
        ]
    )
    assert list(plan.steps) == ["p", "a", "b", "c", "d"]
    assert plan.first == "p"
    outer = plan.steps["p"]
    assert outer.branches == outer.blocks == (Block("a", ("a", "b")), Block("c", ("c",)))
    assert (outer.join, outer.body, outer.container, outer.branch) == ("ANY", None, None, None)
    places = {name: (step.container, step.branch) for name, step in plan.steps.items()}
    assert places == {
        "p": (None, None),
        "a": ("p", 0),
        "b": ("p", 0),
        "c": ("p", 1),
        "d": (None, None),
    }


def test_the_body_of_a_map():
    plan = parse([each("m", action("a"), max_concurrency=5, tolerate_failures=2)])
    step = plan.steps["m"]
    assert step.body == Block("a", ("a",))
    assert step.blocks == (step.body,)
    assert step.over.expressions[0][1] == compile_expression("$.input.items")
    assert (step.max_concurrency, step.tolerate_failures) == (5, 2)
    assert (plan.steps["a"].container, plan.steps["a"].branch) == ("m", 0)


def test_a_map_may_go_over_a_constant_list_and_says_little_else():
    step = parse([each("m", action("a"), over=[1, "$.input.b"])]).steps["m"]
    assert step.over.source == [1, "$.input.b"]
    assert (step.max_concurrency, step.tolerate_failures) == (None, 0)


def test_a_parallel_waits_for_all_or_for_a_number_of_its_branches():
    branches = ([action("a")], [action("b")])
    assert parse([parallel("p", *branches)]).steps["p"].join == "ALL"
    assert parse([parallel("p", *branches, join=2)]).steps["p"].join == 2


def test_containers_nest_five_deep():
    plan = parse([nested(5)])
    assert len(plan.steps) == 6
    errors = refusals_of([nested(6)])
    (path,) = errors
    assert path == "steps[0]" + ".branches[0][0]" * 5
    assert "more than 5 levels" in errors[path][0]


def test_deep_input_in_deep_containers_is_read():
    value: dict = {}
    for _ in range(30):
        value = {"a": value}
    step = action("inmost", input=value)
    for level in range(5):
        step = parallel(f"p{level}", [step])
    assert parse([step]).steps["inmost"].input.source == value


def test_errors_inside_have_the_path_of_their_place():
    errors = refusals_of(
        [
            parallel(
                "p",
                [action("a", timeout=-1), "b"],
                [each("m", action("x", input={"t": ["$.a("]}), action("x"))],
            )
        ]
    )
    assert errors.keys() == {
        "steps[0].branches[0][0].timeout",
        "steps[0].branches[0][1]",
        "steps[0].branches[1][0].steps[0].input.t[0]",
        "steps[0].branches[1][0].steps[1].id",
    }
    assert errors["steps[0].branches[1][0].steps[1].id"] == [
        "The id 'x' is already that of steps[0].branches[1][0].steps[0]."
    ]


def test_ids_are_unique_across_lists():
    errors = refusals_of([parallel("p", [action("a")], [action("a-b")], next="a_b"), action("a_b")])
    assert errors == {
        "steps[1].id": ["The ids 'a_b' and 'a-b' differ only in dashes and underscores."]
    }
    errors = refusals_of([action("a", "p"), parallel("p", [action("a")])])
    assert errors == {"steps[1].branches[0][0].id": ["The id 'a' is already that of steps[0]."]}


def test_what_is_inside_of_a_step_without_its_own_id_is_read_for_its_errors():
    errors = refusals_of([action("p", "q"), parallel("p", [action("a", timeout=-1)]), action("q")])
    assert errors.keys() == {"steps[1].id", "steps[1].branches[0][0].timeout"}


@pytest.mark.parametrize(
    ("following", "part"),
    [
        ("after", "'after' is not in the same list of steps; a step leads only to those beside"),
        ("p", "'p' is not in the same list"),
        ("b", "'b' is inside of 'p': only steps of the same list lead to it."),
        ("aa", "There is no step 'aa'; did you mean a?"),
    ],
)
def test_a_branch_leads_only_to_its_own_steps(following, part):
    document = [
        parallel("p", [action("a", following)], [action("b")], next="after"),
        action("after"),
    ]
    errors = refusals_of(document)
    assert list(errors) == ["steps[0].branches[0][0].next"]
    assert part in errors["steps[0].branches[0][0].next"][0]


def test_no_step_outside_leads_into_a_branch():
    errors = refusals_of(
        [
            action(
                "start",
                [{"when": "output.x", "step": "a"}, {"step": "p"}],
                fallback={"step": "a"},
                on_error=[{"match": ["*"], "step": "a"}],
            ),
            parallel("p", [action("a")]),
        ]
    )
    assert list(errors) == [
        "steps[0].next[0].step",
        "steps[0].on_error[0].step",
        "steps[0].fallback.step",
    ]


def test_steps_inside_count():
    document = [
        parallel(
            "p",
            [action(f"a{n}", f"a{n + 1}") for n in range(250)],
            [each("m", *(action(f"b{n}", f"b{n + 1}") for n in range(249)))],
        )
    ]
    assert refusals_of(document)["steps"] == ["There are 501 steps; 500 is the most."]


def test_a_missing_next_ends_the_branch():
    step = {"id": "a", "service": "s", "action": "run"}
    reading = read([parallel("p", [step, action("b")], next=None)])
    assert reading.warnings[0].startswith(
        "steps[0].branches[0][0]: 'a' has no 'next', so the branch ends after it"
    )


def test_paths_of_steps_inside():
    reading = read([parallel("p", [action("a")], [each("m", action("b"))])])
    assert reading.paths == {
        "p": "steps[0]",
        "a": "steps[0].branches[0][0]",
        "m": "steps[0].branches[1][0]",
        "b": "steps[0].branches[1][0].steps[0]",
    }


# --- WAIT, EVENT, APPROVAL and WORKFLOW ------------------------------------------------------


def kind(step_type, **keys):
    return {"id": "a", "type": step_type, "next": None, **keys}


def only(step_type, **keys):
    return parse([kind(step_type, **keys)]).steps["a"]


def test_waits():
    assert only("WAIT", seconds=90).seconds.source == 90
    assert only("wait", seconds="$.input.n").seconds.expressions[0][0] == ""
    assert only("WAIT", until="2030-01-01T09:00:00+01:00").until.is_constant
    step = only("WAIT", until="$.input.at")
    assert (step.seconds, step.until.is_constant) == (None, False)


def test_events():
    step = only("EVENT", event=" order-paid ", match="event.order == input.order", timeout=LONG)
    assert (step.event.source, step.event.is_constant, step.timeout) == ("order-paid", True, LONG)
    assert step.match == compile_expression("event.order == input.order")
    assert not only("EVENT", event="$.concat('order-', input.id)").event.is_constant


def test_approvals():
    step = only(
        "APPROVAL",
        input={"question": "$.input.question"},
        assignees=["ada", " managers ", "ada"],
        form={"type": "object", "properties": {"reason": {"type": "string"}}},
        due=3600,
        escalate_to=["directors"],
        timeout=LONG,
        on_timeout="reject",
        minimum=2,
    )
    assert (step.assignees, step.escalate_to) == (("ada", "managers"), ("directors",))
    assert (step.due.source, step.timeout) == (3600, LONG)
    assert (step.on_timeout, step.minimum) == ("REJECT", 2)
    assert step.form["type"] == "object"
    assert step.input.expressions[0][0] == "question"
    assert isinstance(hash(step), int)
    assert only("APPROVAL", due="2030-01-01T00:00:00Z").due.is_constant
    assert not only("APPROVAL", due="$.input.by").due.is_constant


def test_an_approval_needs_to_say_nothing():
    step = only("APPROVAL")
    assert (step.assignees, step.form, step.due, step.timeout) == ((), None, None, None)
    assert (step.on_timeout, step.minimum) == ("FAIL", 1)


def test_child_workflows():
    undo = {"service": "s", "action": "undo"}
    step = only("WORKFLOW", workflow="plan", version=3, input={}, timeout=9, compensate=undo)
    assert (step.workflow, step.version, step.timeout) == ("plan", 3, 9)
    assert step.input.source == {}
    assert step.compensate.target == StepTarget("service", "s")


@pytest.mark.parametrize(
    ("step", "path", "part"),
    [
        (kind("PARALLEL"), "branches", "needs 'branches'"),
        (kind("PARALLEL", branches=None), "branches", "needs 'branches'"),
        (kind("PARALLEL", branches=[]), "branches", "at least one"),
        (kind("PARALLEL", branches={}), "branches", "a list of lists"),
        (kind("PARALLEL", branches=[[]]), "branches[0]", "needs at least one"),
        (kind("PARALLEL", branches=[None]), "branches[0]", "a list of steps, not null"),
        (kind("PARALLEL", branches=[action("b")]), "branches[0]", "not an object"),
        (parallel("a", [action("b")], join=2), "join", "from 1 to 1, the number of branches"),
        (parallel("a", [action("b")], join=0), "join", "ALL, ANY or a whole number"),
        (parallel("a", [action("b")], join=True), "join", "not true"),
        (parallel("a", [action("b")], join="MOST"), "join", "not 'MOST'"),
        (parallel("a", [action("b")], timeout=5), "timeout", "has no 'timeout'"),
        (kind("MAP", over=[]), "steps", "needs 'steps'"),
        (kind("MAP", over=[], steps=[]), "steps", "needs at least one"),
        (kind("MAP", over=[], steps={}), "steps", "not an object"),
        (kind("MAP", steps=[action("b")]), "over", "needs 'over'"),
        (each("a", action("b"), over="items"), "over", "$.input.items, not 'items'"),
        (each("a", action("b"), over={}), "over", "must be a list"),
        (each("a", action("b"), over=["$.x("]), "over[0]", "incomplete"),
        (each("a", action("b"), max_concurrency=1001), "max_concurrency", "from 1 to 1000"),
        (each("a", action("b"), max_concurrency=0), "max_concurrency", "from 1 to 1000"),
        (each("a", action("b"), tolerate_failures=-1), "tolerate_failures", "from 0"),
        (kind("WAIT"), "seconds", "needs 'seconds' or 'until'"),
        (kind("WAIT", seconds=1, until="$.input.at"), "until", "keep one"),
        (kind("WAIT", seconds=-1), "seconds", "from 0 to 31622400"),
        (kind("WAIT", seconds=LONG + 1), "seconds", "from 0 to 31622400"),
        (kind("WAIT", seconds="5"), "seconds", "number of seconds"),
        (kind("WAIT", seconds="$.a("), "seconds", "incomplete"),
        (kind("WAIT", until="tomorrow"), "until", "'tomorrow': This is no RFC 3339 time"),
        (kind("WAIT", until="2030-01-01"), "until", "no RFC 3339 time"),
        (kind("WAIT", until="0001-01-01T00:00:00+23:00"), "until", "out of range"),
        (kind("WAIT", until=5), "until", "no RFC 3339 time"),
        (kind("EVENT"), "event", "needs 'event'"),
        (kind("EVENT", event=5), "event", "must be a text"),
        (kind("EVENT", event="e" * 201), "event", "longer than 200"),
        (kind("EVENT", event="$.a("), "event", "incomplete"),
        (kind("EVENT", event="e", match=5), "match", "must be an expression"),
        (kind("EVENT", event="e", timeout=LONG + 1), "timeout", "to 31622400"),
        (kind("APPROVAL", assignees="ada"), "assignees", "a list of 1 to 100 users or groups"),
        (kind("APPROVAL", assignees=[]), "assignees", "1 to 100"),
        (kind("APPROVAL", assignees=["ada", ""]), "assignees[1]", "not the name"),
        (kind("APPROVAL", assignees=["a" * 151]), "assignees[0]", "1 to 150"),
        (kind("APPROVAL", assignees=["$.input.boss"]), "assignees[0]", "not the name"),
        (kind("APPROVAL", form=[]), "form", "must be a JSON Schema"),
        (kind("APPROVAL", form={"type": 5}), "form", "not a valid JSON Schema"),
        (kind("APPROVAL", form={"$ref": "https://x.test/a"}), "form", "not a valid JSON Schema"),
        (kind("APPROVAL", due="soon"), "due", "no RFC 3339 time"),
        (kind("APPROVAL", due=True), "due", "number of seconds"),
        (kind("APPROVAL", escalate_to=["b"]), "escalate_to", "needs 'due'"),
        (kind("APPROVAL", on_timeout="APPROVE"), "on_timeout", "needs 'timeout'"),
        (kind("APPROVAL", on_timeout="X", timeout=5), "on_timeout", "FAIL, APPROVE, REJECT"),
        (kind("APPROVAL", minimum=0), "minimum", "from 1"),
        (kind("WORKFLOW"), "workflow", "needs 'workflow'"),
        (kind("WORKFLOW", workflow=5), "workflow", "must be a text"),
        (kind("WORKFLOW", workflow="w", version=0), "version", "from 1"),
        (kind("WORKFLOW", workflow="w", input=5), "input", "must be an object"),
        (kind("WORKFLOW", workflow="w", retry={}), "retry", "has no 'retry'"),
    ],
)
def test_refuses_in_kinds(step, path, part):
    errors = refusals_of([step])
    assert list(errors) == [f"steps[0].{path}"]
    assert part in errors[f"steps[0].{path}"][0]


# --- Failures and undoing --------------------------------------------------------------------


def test_routes_of_errors():
    step = parse(
        [
            action(
                "a",
                on_error=[
                    {"match": ["Circuit_Open", "service_timeout"], "step": "b"},
                    {"match": ["*"], "step": None},
                ],
            ),
            action("b"),
        ]
    ).steps["a"]
    assert step.on_error == (
        ErrorRoute(("circuit_open", "service_timeout"), "b"),
        ErrorRoute(("*",), None),
    )
    assert step.followers == ("b",)


def test_compensations_are_calls_with_the_defaults_of_calls():
    undo = {"service_type": "custom", "action": "undo", "input": {"id": "$.output.id"}}
    document = {"steps": [action("a", compensate=undo)], "defaults": {"timeout": 9}}
    compensation = parse(document).steps["a"].compensate
    assert compensation == Compensation(
        StepTarget("service_type", "CUSTOM"),
        "undo",
        compensation.input,
        retry=NO_RETRY,
        timeout=9,
    )
    assert compensation.input.expressions[0][0] == "id"
    undo |= {"retry": {"max_attempts": 7}, "timeout": 5}
    compensation = parse(document).steps["a"].compensate
    assert (compensation.retry, compensation.timeout) == (RetryPolicy(max_attempts=7), 5)


def test_every_kind_that_does_something_may_fail():
    failing = {name for name, known in KINDS.items() if "on_error" in known.keys}
    assert failing == {"ACTION", "PARALLEL", "MAP", "WAIT", "EVENT", "APPROVAL", "WORKFLOW"}
    step = only("WAIT", seconds=1, optional=True, fallback={"output": {}})
    assert step.optional
    assert step.fallback.output.source == {}


@pytest.mark.parametrize(
    ("keys", "path", "part"),
    [
        ({"on_error": {}}, "on_error", "a list of 1 to 100 entries"),
        ({"on_error": []}, "on_error", "a list of 1 to 100 entries"),
        ({"on_error": ["b"]}, "on_error[0]", "is an object"),
        ({"on_error": [{"match": ["x"]}]}, "on_error[0].step", "needs 'step'"),
        ({"on_error": [{"step": None}]}, "on_error[0].match", "1 to 50 error codes"),
        ({"on_error": [{"match": "x", "step": None}]}, "on_error[0].match", "must be a list"),
        ({"on_error": [{"match": [503], "step": None}]}, "on_error[0].match[0]", "503 is not"),
        ({"on_error": [{"match": ["a b"], "step": None}]}, "on_error[0].match[0]", "'a b' is not"),
        ({"on_error": [{"match": ["x"], "step": "z"}]}, "on_error[0].step", "no step 'z'"),
        ({"on_error": [{"match": ["x"], "step": None, "w": 1}]}, "on_error[0].w", "has no 'w'"),
        ({"compensate": 5}, "compensate", "A compensation is a call"),
        ({"compensate": {"action": "undo"}}, "compensate.service", "A compensation needs"),
        ({"compensate": {"service": "s"}}, "compensate.action", "A compensation needs 'action'"),
        (
            {"compensate": {"service": "s", "action": "u", "optional": True}},
            "compensate.optional",
            "has no 'optional'",
        ),
        (
            {"compensate": {"service": "s", "action": "u", "input": {"a": "$.a("}}},
            "compensate.input.a",
            "incomplete",
        ),
    ],
)
def test_refuses_in_failures(keys, path, part):
    errors = refusals_of([action("a", **keys)])
    assert list(errors) == [f"steps[0].{path}"]
    assert part in errors[f"steps[0].{path}"][0]


def test_an_error_code_is_matched_once():
    routes = [{"match": [code], "step": None} for code in ("x", "X", "*", "y")]
    errors = refusals_of([action("a", on_error=routes)])
    assert errors == {
        "steps[0].on_error[1].match": ["steps[0].on_error[0] takes 'x' already."],
        "steps[0].on_error[3].match": ["steps[0].on_error[2] takes 'y' already."],
    }


# --- The whole definition --------------------------------------------------------------------


def test_limits_of_the_execution_and_defaults_of_its_steps():
    plan = parse(
        {
            "steps": [action("a", "b"), kind("EVENT", id="b", event="e")],
            "defaults": {"retry": {"max_attempts": 5}, "timeout": 20},
            "timeout": LONG,
            "concurrency": 10_000,
        }
    )
    assert (plan.timeout, plan.concurrency) == (LONG, 10_000)
    assert (plan.steps["a"].retry, plan.steps["a"].timeout) == (RetryPolicy(max_attempts=5), 20)
    assert plan.steps["b"].timeout is None


def test_retry_beside_the_steps_is_their_default_too():
    plan = parse({"steps": [action("a")], "retry": {}, "timeout": 30})
    assert (plan.steps["a"].retry, plan.steps["a"].timeout) == (RetryPolicy(), None)
    assert (plan.timeout, plan.concurrency) == (30, None)


@pytest.mark.parametrize(
    ("keys", "path", "part"),
    [
        ({"timeout": LONG + 1}, "timeout", "to 31622400"),
        ({"timeout": 0}, "timeout", "from 0.001"),
        ({"concurrency": 0}, "concurrency", "from 1 to 10000"),
        ({"concurrency": 10_001}, "concurrency", "from 1 to 10000"),
        ({"defaults": []}, "defaults", "must be an object"),
        ({"defaults": {"timeout": 3601}}, "defaults.timeout", "to 3600"),
        ({"defaults": {"retry": 5}}, "defaults.retry", "A retry is"),
        ({"defaults": {"optional": True}}, "defaults.optional", "'defaults' has no"),
        ({"defaults": {"retry": {}}, "retry": {}}, "retry", "keep one"),
    ],
)
def test_refuses_in_the_document(keys, path, part):
    errors = refusals_of({"steps": [action("a")], **keys})
    assert list(errors) == [path]
    assert part in errors[path][0]


def test_thousands_of_misspelt_names_get_only_some_suggestions():
    steps = [
        action(f"step-{n}", [{"when": "input.a", "step": f"stpe-{n}"}, {"step": None}])
        for n in range(400)
    ]
    sentences = [sentence for found in refusals_of(steps).values() for sentence in found]
    assert len(sentences) == 400
    assert sum("did you mean" in sentence for sentence in sentences) == 100
