"""Validation of definitions: the graph, references, services and inputs."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.definitions import action, errors_of, warnings_of
from tests.support.hypothesis_settings import in_proportion
from workflows import validation
from workflows.validation import ActionInfo, ActionNotFoundError, validate

EXTRACT = {
    "type": "object",
    "properties": {
        "document_url": {"type": "string"},
        "language": {"enum": ["en", "de"]},
        "pages": {"type": "array", "items": {"type": "integer"}, "maxItems": 2},
        "options": {
            "type": "object",
            "properties": {"depth": {"type": "integer"}},
            "required": ["mode"],
        },
    },
    "required": ["document_url"],
    "additionalProperties": False,
}
EXTRACTED = {"type": "object", "properties": {"text": {}, "metadata": {}}}


@dataclass
class FakeDirectory:
    """Knows one service, text-extraction, with one action, extract."""

    input_schema: dict | None = field(default_factory=lambda: EXTRACT)
    output_schema: dict | None = field(default_factory=lambda: EXTRACTED)

    def find_action(self, target, action):
        if target.name != "text-extraction":
            raise LookupError(f"There is no service '{target.name}'; did you mean text-extraction?")
        if action != "extract":
            raise ActionNotFoundError("text-extraction has no such action; it has extract.")
        return ActionInfo(self.input_schema, self.output_schema)


class TypeDirectory:
    """Knows a service of every type, none of which has an action."""

    def find_action(self, target, action):
        raise ActionNotFoundError(f"No service of type {target.name} has '{action}'.")


def extract(input=None, **keys):
    return {
        "id": "extract",
        "service": "text-extraction",
        "action": "extract",
        "input": input,
        "next": None,
        **keys,
    }


def test_a_good_definition_is_valid():
    validation = validate(
        [
            action("get-text", "score"),
            action(
                "score",
                [{"when": "output.score < `0`", "step": "escalate"}, {"step": "end"}],
                when="input.language == 'en'",
                input={"text": "$.steps.get_text.output.text", "who": "$.context.user"},
            ),
            action("escalate", "end", input={"score": '$.steps."score".output.score'}),
            {"id": "end", "type": "SUCCEED", "output": {"at": "$.execution.started_at"}},
        ],
        directory=None,
    )
    assert validation.valid
    assert validation.errors == {}
    assert validation.warnings == []


def test_errors_of_form_and_of_graph_come_together():
    errors = errors_of([action("a", "nowhere", timeout=-1), action("lost")])
    # That nothing leads to 'lost' may follow from the first.
    assert set(errors) == {"steps[0].next", "steps[0].timeout"}
    errors = errors_of([action("a", timeout=-1), action("lost")])
    assert set(errors) == {"steps[0].timeout", "steps[1]"}


# --- The graph -------------------------------------------------------------------------------


def test_unreachable_steps():
    errors = errors_of([action("a", "c"), action("b", "c"), action("c")])
    assert errors == {
        "steps[1]": ["No step leads to 'b'; name it in the 'next' of another, or remove it."]
    }


def test_fallback_and_routes_lead_to_steps():
    steps = [
        action("a", [{"when": "output.x", "step": "b"}, {"step": None}], fallback={"step": "c"}),
        action("b"),
        action("c"),
    ]
    assert errors_of(steps) == {}


def test_a_cycle_needs_max_visits():
    steps = [action("a", "b"), action("b", "c"), action("c", "b")]
    errors = errors_of(steps)
    assert list(errors) == ["steps[2].next"]
    assert "b -> c -> b" in errors["steps[2].next"][0]
    assert "max_visits" in errors["steps[2].next"][0]
    steps[1]["max_visits"] = 5
    assert errors_of(steps) == {}


def test_a_step_that_follows_itself_is_a_cycle():
    assert "a -> a" in errors_of([action("a", "a")])["steps[0].next"][0]


def test_a_fallback_can_close_a_cycle():
    steps = [action("a", "b"), action("b", fallback={"step": "a"})]
    assert "a -> b -> a" in errors_of(steps)["steps[1].next"][0]


def test_two_separate_cycles_are_both_reported():
    steps = [
        action("a", [{"when": "output.x", "step": "b"}, {"step": "c"}]),
        action("b", "b"),
        action("c", "d"),
        action("d", "c"),
    ]
    assert set(errors_of(steps)) == {"steps[1].next", "steps[3].next"}


def test_ways_that_join_are_no_cycle():
    steps = [
        action("a", [{"when": "output.x", "step": "b"}, {"step": "c"}]),
        action("b", "d"),
        action("c", "d"),
        action("d"),
    ]
    assert errors_of(steps) == {}


def test_a_missing_next_in_the_middle_is_a_warning():
    steps = [
        action("a", [{"when": "output.x", "step": "b"}, {"step": "c"}]),
        {"id": "b", "service": "s", "action": "run"},
        {"id": "c", "service": "s", "action": "run"},
    ]
    (warning,) = warnings_of(steps)
    assert warning.startswith("steps[1]: 'b' has no 'next'")


def test_routes_without_a_default_are_a_warning():
    steps = [
        {"id": "a", "type": "CHOICE", "next": [{"when": "input.x", "step": "b"}]},
        action("b", [{"when": "output.x", "step": None}]),
    ]
    warnings = warnings_of(steps)
    assert [warning.split(":")[0] for warning in warnings] == ["steps[0].next", "steps[1].next"]
    assert "none of the conditions" in warnings[0]


def test_a_chain_of_five_hundred_steps_is_checked():
    steps = [
        action(f"s{n}", f"s{n + 1}", input={"x": "$.steps.s0.output"} if n else None)
        for n in range(499)
    ]
    steps.append(action("s499", input={"x": "$.steps.s498.output"}))
    assert errors_of(steps) == {}


# --- References ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "path", "part"),
    [
        ({"input": {"x": "$.inptu.a"}}, "input.x", "no 'inptu' to read; did you mean input?"),
        ({"input": {"x": "$.item.a"}}, "input.x", "inside a MAP"),
        ({"input": {"x": "$.output.a"}}, "input.x", "write steps.<id>.output"),
        ({"when": "output.a"}, "when", "write steps.<id>.output"),
        ({"when": "execution.started"}, "when", "'execution' has id, workflow, started_at"),
        ({"when": "steps.frist.output"}, "when", "no step 'frist'; did you mean first?"),
        ({"when": "steps.first.outptu"}, "when", "not 'outptu'; did you mean output?"),
        ({"when": "steps.last.output"}, "when", "cannot have run"),
        ({"when": "steps.middle.output"}, "when", "cannot have run"),
        ({"input": {"x": ["$.steps.middle.output"]}}, "input.x[0]", "cannot have run"),
        ({"next": [{"when": "steps.last", "step": "last"}, {"step": "last"}]}, None, "cannot"),
        ({"fallback": {"output": ["$.steps.last"]}}, "fallback.output[0]", "cannot have run"),
    ],
)
def test_refuses_references(step, path, part):
    steps = [action("first", "middle"), {**action("middle", "last"), **step}, action("last")]
    errors = errors_of(steps)
    assert list(errors) == [f"steps[1].{path or 'next[0].when'}"]
    assert part in next(iter(errors.values()))[0]


def test_a_step_may_read_its_own_outcome_once_it_is_there():
    steps = [
        action(
            "a-b",
            [{"when": "steps.a_b.output.x && output.x", "step": "c"}, {"step": "c"}],
            fallback={"output": {"why": "$.steps.a_b.error.code"}},
        ),
        action("c", input={"x": "$.steps.a_b.status"}),
    ]
    assert errors_of({"steps": steps, "output": {"a": "$.output", "c": "$.steps.c"}}) == {}


def test_output_of_the_definition_reads_any_step_that_can_be_reached():
    steps = [
        action("a", [{"when": "output.x", "step": "b"}, {"step": None}]),
        action("b"),
    ]
    assert errors_of({"steps": steps, "output": {"b": "$.steps.b.output"}}) == {}
    errors = errors_of({"steps": steps, "output": ["$.steps.z.output"]})
    assert "no step 'z'" in errors["output[0]"][0]


def test_steps_of_another_branch_cannot_have_run():
    steps = [
        action("a", [{"when": "output.x", "step": "b"}, {"step": "c"}]),
        action("b", "d"),
        action("c", "d", input={"x": "$.steps.b.output"}),
        action("d", input={"x": "$.coalesce(steps.b.output, steps.c.output)"}),
    ]
    assert list(errors_of(steps)) == ["steps[2].input.x"]


def test_a_step_of_a_loop_may_read_its_earlier_visit():
    steps = [
        action("a", "b", input={"x": "$.steps.b.output"}),
        action("b", [{"when": "output.x", "step": "a"}, {"step": None}], max_visits=3),
    ]
    assert errors_of(steps) == {}


def test_a_fallback_step_may_read_the_error():
    steps = [
        action("a", fallback={"step": "b"}),
        action("b", input={"why": "$.steps.a.error.message"}),
    ]
    assert errors_of(steps) == {}


# --- Services and actions --------------------------------------------------------------------


def test_missing_services_and_actions_are_errors_at_their_keys():
    steps = [
        extract(id="a", service="text-extractor", next="b"),
        extract(id="b", action="extracts"),
    ]
    errors = errors_of(steps, directory=FakeDirectory())
    assert errors == {
        "steps[0].service": ["There is no service 'text-extractor'; did you mean text-extraction?"],
        "steps[1].action": ["text-extraction has no such action; it has extract."],
    }


@pytest.mark.parametrize("draft", [False, True])
def test_a_type_that_no_service_has_now_is_a_warning(draft):
    steps = [{"id": "a", "service_type": "custom", "action": "x", "next": None}]
    assert warnings_of(steps, directory=FakeDirectory(), draft=draft) == [
        "steps[0].service_type: There is no service 'CUSTOM'; did you mean text-extraction?"
    ]


def test_an_action_that_services_of_the_type_lack_is_an_error():
    steps = [extract(service=None, service_type="text-extraction", action="extracts")]
    path = "steps[0].action"
    assert list(errors_of(steps, directory=TypeDirectory())) == [path]
    (warning,) = warnings_of(steps, directory=TypeDirectory(), draft=True)
    assert warning.startswith(f"{path}: ")


def test_an_integration_is_looked_up_without_an_action():
    steps = [{"id": "a", "integration": "sync", "next": None}]
    assert list(errors_of(steps, directory=FakeDirectory())) == ["steps[0].integration"]


def test_for_a_draft_they_are_warnings():
    steps = [extract(service="nowhere", next="b"), extract({"pages": 5}, id="b")]
    warnings = warnings_of(steps, directory=FakeDirectory(), draft=True)
    assert [warning.split(": ")[0] for warning in warnings] == [
        "steps[0].service",
        "steps[1].input.pages",
        "steps[1].input",
    ]


@pytest.mark.parametrize(
    ("given_input", "errors"),
    [
        (None, {}),
        ("$.input", {}),
        ({"document_url": "$.input.url"}, {}),
        ({"document_url": "$.input.url", "pages": [1, "$.input.page"]}, {}),
        ({"document_url": "$$.literal"}, {}),
        ({"document_url": "u", "options": "$.input.options"}, {}),
        ({"document_url": 5}, {"document_url": "is not of type"}),
        ({}, {"": '"document_url" is a required property'}),
        ({"language": "$.input.l"}, {"": '"document_url" is a required property'}),
        ({"document_url": "u", "language": "fr"}, {"language": "is not one of"}),
        ({"document_url": "u", "status": "$.input.s"}, {"": "'status' was unexpected"}),
        ({"document_url": "u", "pages": ["x", "$.input.b"]}, {"pages[0]": "is not of type"}),
        ({"document_url": "u", "pages": ["$.input.a"] * 3}, {"pages": "has more than 2 items"}),
        ({"document_url": "u", "options": {"depth": "$.input.d"}}, {"options": '"mode"'}),
        ({"document_url": "u", "options": ["$.input.d"]}, {"options": "is not of type"}),
    ],
)
def test_input_that_the_schema_surely_refuses(given_input, errors):
    found = errors_of([extract(given_input)], directory=FakeDirectory())
    expected = {f"steps[0].input{'.' if path else ''}{path}": part for path, part in errors.items()}
    assert found.keys() == expected.keys()
    for path, part in expected.items():
        assert part in found[path][0]


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"required": ["b"]}, {"properties": {"a": {"type": "integer"}}}]},
        {"oneOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"a": {"const": 2}}}]},
        {"if": {"properties": {"a": {"const": 1}}}, "then": {"required": ["b"]}},
        {
            "if": {"properties": {"a": {"type": "null"}}},
            "then": {"properties": {"c": {"type": "integer"}}},
        },
        {"properties": {"a": {"enum": [1, 2]}}},
        {"not": {"properties": {"a": {"type": "null"}}}},
        {"properties": {"d": {"uniqueItems": True}}},
        {"properties": {"d": {"contains": {"const": 5}}}},
        {"properties": {"d": {"const": [1, 2]}}},
        {"$ref": "https://example.com/schema"},
        {"type": 5},
        {"pattern": "("},
        True,
    ],
)
def test_what_depends_on_unknown_values_is_no_error(schema):
    given_input = {"a": "$.input.a", "c": "text", "d": ["$.input.x", "$.input.y"]}
    assert errors_of([extract(given_input)], directory=FakeDirectory(schema)) == {}


def test_conditional_keywords_hold_for_constants():
    schema = {"if": {"properties": {"a": {"const": 1}}}, "then": {"required": ["b"]}}
    errors = errors_of([extract({"a": 1})], directory=FakeDirectory(schema))
    assert '"b" is a required' in errors["steps[0].input"][0]


def test_reading_what_an_output_does_not_name_is_a_warning():
    steps = [extract({"document_url": "u"}, next="b"), extract({"document_url": "u"}, id="b")]
    steps[1]["input"] = {"document_url": "$.steps.extract.output.txet"}
    (warning,) = warnings_of(steps, directory=FakeDirectory())
    assert warning == (
        "steps[1].input.document_url: The output of 'extract' names metadata, text, not 'txet'; "
        "did you mean text?"
    )
    steps[0]["fallback"] = {"output": {"txet": ""}}
    assert warnings_of(steps, directory=FakeDirectory()) == []


# --- Any JSON --------------------------------------------------------------------------------

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400), 1e308, "", "a", "b", "$.", "$.input.a", "$.a(", "$$."])
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
)
KNOWN_KEYS = """
id name type service service_type connection integration action input when retry timeout optional
fallback next step output error code message max_visits max_attempts base_delay max_delay backoff
jitter on max_elapsed steps on_error
"""
KEYS = st.sampled_from(KNOWN_KEYS.split()) | st.text(max_size=3)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=25,
)
STEP: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "b", "c-d", "c_d"]) | JSON},
    optional={
        "type": st.sampled_from(["ACTION", "choice", "TRANSFORM", "FAIL", "SUCCEED", "MAP"]) | JSON,
        "service": st.just("text-extraction") | JSON,
        "action": st.just("extract") | JSON,
        "next": st.sampled_from(["a", "b", "c-d", None])
        | st.lists(
            st.fixed_dictionaries(
                {"step": st.sampled_from(["a", "b", None])},
                optional={"when": st.sampled_from(["output", "steps.a.output", "!"]) | JSON},
            ),
            max_size=3,
        )
        | JSON,
        "input": st.dictionaries(
            st.sampled_from(["document_url", "language", "pages", "options"]), JSON
        )
        | JSON,
        "output": JSON,
        "error": JSON,
        "when": st.sampled_from(["steps.b.output.x", "steps.c_d.error", "item"]) | JSON,
        "retry": JSON,
        "timeout": JSON,
        "fallback": st.fixed_dictionaries({"step": st.sampled_from(["a", "b"])}) | JSON,
        "max_visits": st.integers(-1, 3) | JSON,
    },
)


@given(
    st.lists(STEP, max_size=5)
    | st.fixed_dictionaries({"steps": st.lists(STEP, max_size=4)}, optional={"output": JSON})
    | JSON
)
@settings(max_examples=in_proportion(60), deadline=None)
def test_no_json_makes_it_raise(document):
    validation = validate(document, directory=FakeDirectory())
    assert all(isinstance(path, str) and path for path in validation.errors)
    assert all(sentences and all(sentences) for sentences in validation.errors.values())


def test_deep_nesting_does_not_make_it_raise():
    value: list = []
    for _ in range(50_000):
        value = [value]
    for document in (value, {"steps": value}, [{"id": value}], [extract({"x": value})]):
        assert not validate(document, directory=FakeDirectory()).valid


class DirectoryOfKnownTypes:
    """Knows no such type."""

    def find_action(self, target, action):
        raise validation.UnknownTypeError("'PLANING_SYSTEM' is not allowed. Use one of: ...")


def test_misspelt_type_is_an_error_even_in_a_draft():
    steps = [{"id": "a", "service_type": "PLANING_SYSTEM", "action": "plan"}]
    found = validation.validate(steps, directory=DirectoryOfKnownTypes(), draft=True)
    assert list(found.errors) == ["steps[0].service_type"]


@pytest.mark.parametrize(
    ("step", "document", "path"),
    [
        (
            action("a", retry={"max_elapsed": 1, "base_delay": 4, "jitter": False}),
            {},
            "steps[0].retry",
        ),
        (
            action("a", compensate={"service": "s", "action": "undo",
                                    "retry": {"max_elapsed": 1, "base_delay": 4}}),
            {},
            "steps[0].compensate.retry",
        ),
        (
            {"id": "a", "type": "APPROVAL", "timeout": 60, "due": 60, "escalate_to": ["eve"],
             "next": None},
            {},
            "steps[0].due",
        ),
        ({"id": "a", "type": "WAIT", "seconds": 60, "next": None}, {"timeout": 60},
         "steps[0].seconds"),
        ({"id": "a", "type": "EVENT", "event": "e", "timeout": 61, "next": None},
         {"timeout": 60}, "steps[0].timeout"),
    ],
)  # fmt: skip
def test_what_a_bound_cuts_off_is_doubted(step, document, path):
    found = validate({"steps": [step], **document}, directory=None)
    assert found.valid
    assert [w.partition(": ")[0] for w in found.warnings] == [path]


@pytest.mark.parametrize("seconds", ["$.input.seconds", 59])
def test_wait_that_may_end_in_time_is_not_doubted(seconds):
    step = {"id": "a", "type": "WAIT", "seconds": seconds, "next": None}
    assert not validate({"steps": [step], "timeout": 60}, directory=None).warnings
