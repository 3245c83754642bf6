"""Reading definitions: what they say, and every error at its path."""

import pytest

from core.expressions import compile_expression
from tests.support.definitions import refusals_of
from workflows.definition import (
    NO_RETRY,
    DefinitionError,
    Fallback,
    RetryPolicy,
    Route,
    StepTarget,
    parse,
    read,
)

DOCUMENT_STEPS = [
    {
        "id": "extract-text",
        "service": "text-extraction",
        "action": "extract",
        "next": "analyze-sentiment",
    },
    {
        "id": "analyze-sentiment",
        "service": "sentiment-analysis",
        "action": "analyze",
        "next": "generate-summary",
    },
    {
        "id": "generate-summary",
        "service": "text-summarization",
        "action": "summarize",
        "next": None,
    },
]

FULL_STEP = {
    "id": "analyze",
    "name": "Analyse",
    "type": "action",
    "service_type": "custom",
    "action": "analyze",
    "input": {"text": "$.input.text", "language": "en"},
    "when": "input.language == 'en'",
    "retry": {
        "max_attempts": 4,
        "backoff": "linear",
        "on": ["timeout", 429, "5xx", "circuit_open"],
    },
    "timeout": 30,
    "optional": True,
    "fallback": {"output": {"score": 0}},
    "max_visits": 3,
    "next": [{"when": "output.score < `0`", "step": "escalate"}, {"step": None}],
}
ESCALATE = {"id": "escalate", "service": "desk", "action": "escalate"}


def action(step_id="a", **keys):
    return {"id": step_id, "service": "s", "action": "run", "next": None, **keys}


def test_smallest_definition_is_a_list_of_steps():
    definition = parse(DOCUMENT_STEPS)
    assert list(definition.steps) == ["extract-text", "analyze-sentiment", "generate-summary"]
    assert definition.first == "extract-text"
    assert definition.output is None
    assert definition.document == {"steps": DOCUMENT_STEPS}
    step = definition.steps["extract-text"]
    assert (step.kind, step.name, step.action) == ("ACTION", "extract-text", "extract")
    assert step.target == StepTarget("service", "text-extraction")
    assert step.next == (Route(None, "analyze-sentiment"),)
    assert step.retry is NO_RETRY
    assert (step.input, step.when, step.timeout, step.fallback) == (None, None, None, None)
    assert definition.steps["generate-summary"].next == ()


def test_every_key_of_an_action_is_read():
    step = parse([FULL_STEP, ESCALATE]).steps["analyze"]
    assert step.kind == "ACTION"
    assert step.name == "Analyse"
    assert step.target == StepTarget("service_type", "CUSTOM")
    assert [path for path, _ in step.input.expressions] == ["text"]
    assert step.when == compile_expression("input.language == 'en'")
    assert step.retry == RetryPolicy(
        max_attempts=4, backoff="LINEAR", on=("TIMEOUT", "429", "5XX", "CIRCUIT_OPEN")
    )
    assert (step.timeout, step.optional, step.max_visits) == (30.0, True, 3)
    assert step.fallback.output.is_constant
    assert step.next == (
        Route(compile_expression("output.score < `0`"), "escalate"),
        Route(None, None),
    )
    assert step.followers == ("escalate",)


def test_the_other_kinds():
    definition = parse(
        [
            {"id": "t", "type": "Transform", "output": {"n": "$.input.n"}, "next": "c"},
            {
                "id": "c",
                "type": "CHOICE",
                "next": [{"when": "steps.t.output.n", "step": "ok"}, {"step": "bad"}],
            },
            {"id": "ok", "type": "succeed", "output": "$.steps.t.output"},
            {"id": "bad", "type": "FAIL", "error": {"code": "no_n", "message": "$.input.why"}},
        ]
    )
    assert [step.kind for step in definition.steps.values()] == [
        "TRANSFORM",
        "CHOICE",
        "SUCCEED",
        "FAIL",
    ]
    assert definition.steps["t"].output.expressions[0][0] == "n"
    assert definition.steps["bad"].error.expressions[0][0] == "message"
    assert definition.steps["ok"].output.expressions[0][0] == ""


def test_nulls_are_as_if_nothing_was_written():
    keys = ("name", "type", "when", "retry", "timeout", "optional", "fallback", "input")
    step = parse([action(**dict.fromkeys(keys), max_visits=None, connection=None)]).steps["a"]
    assert step == parse([action()]).steps["a"]


def test_defaults_of_the_definition_go_to_steps_that_say_nothing():
    definition = parse(
        {
            "steps": [
                action("a", next="b"),
                action("b", retry={"max_attempts": 2}, timeout=5, next="c"),
                {"id": "c", "type": "TRANSFORM", "output": [1]},
            ],
            "retry": {"base_delay": 2},
            "output": {"x": "$.steps.b.output"},
        }
    )
    a, b, c = definition.steps.values()
    assert (a.retry, a.timeout) == (RetryPolicy(base_delay=2), None)
    assert (b.retry, b.timeout) == (RetryPolicy(max_attempts=2, base_delay=2), 5)
    assert (c.retry, c.timeout) == (NO_RETRY, None)
    assert c.output.source == [1]
    assert definition.output.expressions[0][0] == "x"


def test_fallback_step_is_a_follower():
    step = parse([action(fallback={"step": "b"}, next="b"), action("b")]).steps["a"]
    assert step.fallback == Fallback(None, "b")
    assert step.followers == ("b",)


def test_ending_step_with_a_condition_may_be_passed():
    step = parse(
        [{"id": "a", "type": "FAIL", "error": "No.", "when": "input.bad", "next": "b"}, action("b")]
    ).steps["a"]
    assert step.next == (Route(None, "b"),)


def test_all_errors_come_at_once_each_at_its_path():
    errors = refusals_of(
        {
            "steps": [
                {
                    "id": "a b",
                    "service": "s",
                    "service_type": "CUSTOM",
                    "action": "",
                    "retry": {"max_attempts": 0, "backof": "FIXED", "on": ["TIMEOUT", {}]},
                    "timeout": -1,
                },
                {
                    "id": "b",
                    "inptu": {},
                    "when": "input.",
                    "retry": {"max_attempts": 0, "backof": "FIXED", "on": ["TIMEOUT", {}]},
                    "timeout": 1e9,
                    "optional": "yes",
                    "fallback": {},
                    "input": {"x": ["$.nofunction()"]},
                    "next": "c",
                },
                {"id": "cc", "type": "LOOP"},
                "d",
            ],
            "output": {"y": "$.a("},
            "stpes": 1,
        }
    )
    assert set(errors) == {
        "stpes",
        "output.y",
        "steps[0].id",
        "steps[1].inptu",
        "steps[1].when",
        "steps[1].retry.max_attempts",
        "steps[1].retry.backof",
        "steps[1].retry.on[1]",
        "steps[1].timeout",
        "steps[1].optional",
        "steps[1].fallback",
        "steps[1].input.x[0]",
        "steps[1].next",
        "steps[1].service",
        "steps[1].action",
        "steps[2].type",
        "steps[3]",
    }
    assert errors["steps[1].inptu"] == ["A step of type ACTION has no 'inptu'; did you mean input?"]
    assert errors["steps[1].next"] == ["There is no step 'c'; did you mean cc?"]


@pytest.mark.parametrize(
    ("step", "path", "part"),
    [
        ({"id": None}, "id", "needs an 'id'"),
        ({"id": ""}, "id", "is not an id"),
        ({"id": 5}, "id", "5 is not an id"),
        ({"id": "x" * 101}, "id", "1 to 100"),
        ({"id": "a/b"}, "id", "letters, digits"),
        ({"id": "a\n"}, "id", "letters, digits"),
        ({"name": 5}, "name", "must be a text"),
        ({"name": "n" * 201}, "name", "longer than 200"),
        ({"type": 5}, "type", "5 is not a type"),
        ({"output": 1}, "output", "has no 'output'"),
        ({"service": None}, "service", "who is called"),
        ({"service": 5}, "service", "must be a text"),
        ({"connection": "c"}, "connection", "keep one"),
        ({"action": None}, "action", "what is called"),
        ({"action": []}, "action", "not a list"),
        ({"input": []}, "input", "must be an object"),
        ({"input": "text"}, "input", "must be an object"),
        ({"when": True}, "when", "must be an expression"),
        ({"when": "a +"}, "when", "cannot be read at character 3"),
        ({"retry": 3}, "retry", "is an object"),
        ({"retry": {"max_attempts": True}}, "retry.max_attempts", "whole number from 1 to 1000"),
        ({"retry": {"max_attempts": 0}}, "retry.max_attempts", "or null for no limit"),
        ({"retry": {"max_attempts": 10**400}}, "retry.max_attempts", "whole number"),
        ({"retry": {"max_attempts": 1.0}}, "retry.max_attempts", "whole number"),
        ({"retry": {"base_delay": "1"}}, "retry.base_delay", "number of seconds"),
        ({"retry": {"base_delay": 10**400}}, "retry.base_delay", "number of seconds"),
        ({"retry": {"max_delay": 1e6}}, "retry.max_delay", "from 0 to 86400"),
        ({"retry": {"base_delay": 9, "max_delay": 1}}, "retry.max_delay", "below 'base_delay'"),
        ({"retry": {"max_elapsed": -1}}, "retry.max_elapsed", "number of seconds"),
        ({"retry": {"backoff": "CUBIC"}}, "retry.backoff", "none of EXPONENTIAL, LINEAR, FIXED"),
        ({"retry": {"jitter": 1}}, "retry.jitter", "true or false"),
        ({"retry": {"on": "429"}}, "retry.on", "must be a list"),
        ({"retry": {"on": [10**5000]}}, "retry.on[0]", "not a reason to retry"),
        ({"retry": {"except": ["a b"]}}, "retry.except[0]", "not a reason to retry"),
        ({"retry": {"except": 5}}, "retry.except", "'except' must be a list"),
        ({"retry": {"never": []}}, "retry.never", "has no 'never'"),
        ({"retry": {"on": ["9XX"]}}, "retry.on[0]", "not a reason to retry"),
        ({"timeout": 0}, "timeout", "from 0.001 to 3600"),
        ({"timeout": True}, "timeout", "number of seconds"),
        ({"max_visits": 0}, "max_visits", "whole number from 1"),
        ({"fallback": "b"}, "fallback", "A fallback is"),
        ({"fallback": {"output": 1, "step": "a"}}, "fallback", "A fallback is"),
        ({"fallback": {"step": None}}, "fallback.step", "id of a step"),
        ({"fallback": {"step": "zz"}}, "fallback.step", "no step 'zz'"),
        ({"fallback": {"output": {}, "when": 2}}, "fallback.when", "has no 'when'"),
        ({"fallback": {"output": "text"}}, "fallback.output", "not 'text'"),
        ({"next": 5}, "next", "id of a step, null, or a list"),
        ({"next": ["a"]}, "next[0]", "A route is an object"),
        ({"next": []}, "next", "1 to 100"),
        ({"next": [{"when": "input.a"}]}, "next[0].step", "needs 'step'"),
        ({"next": [{"step": "a", "wehn": "b"}]}, "next[0].wehn", "did you mean when?"),
        ({"next": [{"when": "input.a", "step": 5}]}, "next[0].step", "must be a text"),
        ({"next": [{"when": "input.a", "step": "zz"}]}, "next[0].step", "no step 'zz'"),
        ({"next": [{"step": None}, {"step": "a"}]}, "next[0]", "put it last"),
    ],
)
def test_refuses_in_a_step(step, path, part):
    errors = refusals_of([{**action(), **step}])
    assert list(errors) == [f"steps[0].{path}"]
    assert part in errors[f"steps[0].{path}"][0]


@pytest.mark.parametrize(
    ("step", "path", "part"),
    [
        ({"type": "TRANSFORM"}, "output", "needs 'output'"),
        ({"type": "TRANSFORM", "output": {}, "service": "s"}, "service", "has no 'service'"),
        ({"type": "TRANSFORM", "output": "text"}, "output", "an object, a list, or an expression"),
        ({"type": "TRANSFORM", "output": None}, "output", "needs 'output'"),
        ({"type": "CHOICE"}, "next", "needs 'next'"),
        ({"type": "CHOICE", "next": "a"}, "next", "needs a list"),
        ({"type": "CHOICE", "next": None}, "next", "needs 'next'"),
        ({"type": "FAIL"}, "error", "needs 'error'"),
        ({"type": "FAIL", "error": 5}, "error", "must be a text"),
        ({"type": "FAIL", "error": {"code": "x"}}, "error.message", "needs a 'message'"),
        ({"type": "FAIL", "error": {"message": 5}}, "error.message", "must be a text"),
        ({"type": "FAIL", "error": "x", "next": "a"}, "next", "is an end"),
        ({"type": "SUCCEED", "next": [{"step": "a"}]}, "next", "is an end"),
        ({"type": "SUCCEED", "output": ["$.x("]}, "output[0]", "incomplete"),
    ],
)
def test_refuses_in_other_kinds(step, path, part):
    errors = refusals_of([{"id": "a", **step}])
    assert list(errors) == [f"steps[0].{path}"]
    assert part in errors[f"steps[0].{path}"][0]


@pytest.mark.parametrize(
    ("document", "part"),
    [
        (None, "a list of steps, or an object"),
        ("steps", "a list of steps, or an object"),
        ({}, "must be a list"),
        ({"steps": {}}, "must be a list"),
        ([], "at least one step"),
        ([action(str(n)) for n in range(501)], "501 steps; 500 is the most"),
        ([action(input={"text": "x" * 300_000})], "256 KiB"),
    ],
    ids=range(7),
)
def test_refuses_documents(document, part):
    assert part in refusals_of(document)["steps"][0]


def test_deeply_nested_documents_are_refused_without_recursion():
    value: dict = {}
    for _ in range(100_000):
        value = {"a": value}
    assert "nests deeper" in refusals_of([action(input=value)])["steps"][0]


def test_output_of_a_definition_is_an_object_or_a_list():
    assert "must be an object" in refusals_of({"steps": [action()], "output": "text"})["output"][0]


def test_duplicate_ids_are_refused():
    errors = refusals_of([action("a"), action("a"), action("b-c"), action("b_c")])
    assert errors == {
        "steps[1].id": ["The id 'a' is already that of steps[0]."],
        "steps[3].id": ["The ids 'b_c' and 'b-c' differ only in dashes and underscores."],
    }


def test_message_names_the_first_error_and_how_many_more():
    with pytest.raises(DefinitionError, match=r"steps\[0\].timeout: .* \(and 1 more\)"):
        parse([action(timeout=-1), action("b", timeout=-1)])


def test_what_could_be_read_is_there_beside_the_errors():
    reading = read([action("a", timeout=-1, next="b"), 5, action("b")])
    assert list(reading.definition.steps) == ["a", "b"]
    assert reading.paths == {"a": "steps[0]", "b": "steps[2]"}
    assert set(reading.errors) == {"steps[0].timeout", "steps[1]"}


def test_an_integration_needs_no_action():
    step = parse([{"id": "a", "integration": "sync", "next": None}]).steps["a"]
    assert (step.target, step.action) == (StepTarget("integration", "sync"), None)


# --- Retry -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        (RetryPolicy(jitter=False), [0.5, 1, 2, 4, 8, 16, 30, 30]),
        (RetryPolicy(jitter=False, backoff="LINEAR", base_delay=10), [10, 20, 30, 30]),
        (RetryPolicy(jitter=False, backoff="FIXED", base_delay=7), [7, 7, 7]),
        (RetryPolicy(jitter=False, base_delay=0), [0, 0]),
    ],
)
def test_delay_grows_up_to_its_maximum(policy, delays):
    found = [
        policy.delay(attempt, retry_after=None, fraction=0.5)
        for attempt in range(1, len(delays) + 1)
    ]
    assert found == delays


def test_delay_of_a_late_attempt_does_not_overflow():
    policy = RetryPolicy(max_attempts=1000)
    assert policy.delay(1000, retry_after=None, fraction=0.999) <= 30


def test_jitter_spreads_over_the_upper_half():
    policy = RetryPolicy(base_delay=8)
    assert policy.delay(1, retry_after=None, fraction=0.0) == 4
    assert policy.delay(1, retry_after=None, fraction=0.5) == 6
    assert policy.delay(1, retry_after=None, fraction=0.9999) < 8


def test_longer_retry_after_wins_up_to_a_day():
    policy = RetryPolicy(jitter=False)
    assert policy.delay(1, retry_after=45.0, fraction=0) == 45
    assert policy.delay(3, retry_after=0.1, fraction=0) == 2
    assert policy.delay(1, retry_after=1e9, fraction=0) == 86400


@pytest.mark.parametrize(
    ("on", "kind", "status_code", "code", "allowed"),
    [
        (("TIMEOUT",), "TIMEOUT", None, "service_timeout", True),
        (("TIMEOUT",), "CONNECTION", None, "service_unavailable", False),
        (("429",), "RESPONSE", 429, "service_error", True),
        (("429",), "RESPONSE", 428, "service_error", False),
        (("5XX",), "RESPONSE", 503, "service_error", True),
        (("5XX",), "RESPONSE", 499, "service_error", False),
        (("CIRCUIT_OPEN",), "OTHER", None, "circuit_open", True),
        ((), "TIMEOUT", 500, "service_error", False),
        (RetryPolicy().on, "OTHER", None, "service_not_found", False),
        (RetryPolicy().on, "RESPONSE", 400, "service_error", False),
    ],
)
def test_retries_after_the_errors_that_it_names(on, kind, status_code, code, allowed):
    policy = RetryPolicy(on=on)
    found = policy.allows(1, kind=kind, status_code=status_code, code=code)
    assert found is allowed


def test_retries_end_with_the_attempts():
    policy = RetryPolicy(max_attempts=3)
    failure: dict = {"kind": "TIMEOUT", "status_code": None, "code": "service_timeout"}
    assert policy.allows(2, **failure)
    assert not policy.allows(3, **failure)
    assert not NO_RETRY.allows(1, **failure)


def test_attempts_may_be_unlimited():
    policy = parse([action(retry={"max_attempts": None})]).steps["a"].retry
    assert policy == RetryPolicy(max_attempts=None)
    failure: dict = {"kind": "TIMEOUT", "status_code": None, "code": "service_timeout"}
    assert policy.allows(10**6, **failure)
    assert policy.delay(10**6, retry_after=None, fraction=0.5) <= 30


@pytest.mark.parametrize(
    ("never", "status_code", "code", "allowed"),
    [
        (["409"], 503, "service_error", True),
        ([503], 503, "service_error", False),
        (["5xx"], 503, "service_error", False),
        (["quota_exceeded"], 503, "quota_exceeded", False),
        (["RESPONSE"], 503, "service_error", False),
    ],
)
def test_some_errors_are_never_retried(never, status_code, code, allowed):
    policy = parse([action(retry={"on": ["RESPONSE"], "except": never})]).steps["a"].retry
    found = policy.allows(1, kind="RESPONSE", status_code=status_code, code=code)
    assert found is allowed
