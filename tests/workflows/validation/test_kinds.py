"""Validation of steps inside of others, of waits, approvals, child workflows and undoing."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.definitions import action, errors_of, parallel, warnings_of
from tests.support.hypothesis_settings import in_proportion
from workflows import validation
from workflows.definition import KINDS
from workflows.validation import ActionInfo, ActionNotFoundError

SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}


@dataclass
class FakeDirectory:
    """Knows one service with one action, and one workflow."""

    looked_up: list[str] = field(default_factory=list)

    def find_action(self, target, action):
        if target.name != "s":
            raise LookupError(f"There is no service '{target.name}'.")
        if action != "run":
            raise ActionNotFoundError("The service 's' has no such action.")
        return ActionInfo(SCHEMA, None)

    def find_workflow(self, name):
        self.looked_up.append(name)
        if name != "plan":
            raise LookupError(f"There is no workflow '{name}'; did you mean plan?")


class DirectoryOfActions:
    """Knows nothing of workflows."""

    def find_action(self, target, action):
        return ActionInfo(None, None)


def validate(document, **options):
    return validation.validate(document, **{"directory": None, **options})


def each(step_id, *steps, **keys):
    keys = {"over": "$.input.items", "next": None, **keys}
    return {"id": step_id, "type": "MAP", "steps": [*steps], **keys}


def reading(step_id, *expressions, **keys):
    return action(step_id, **{"input": {"x": [f"$.{text}" for text in expressions]}, **keys})


# --- The graph -------------------------------------------------------------------------------


def test_unreachable_steps_inside():
    document = [parallel("p", [action("a", "c"), action("b", "c"), action("c")], [action("d")])]
    errors = errors_of(document)
    assert errors == {
        "steps[0].branches[0][1]": [
            "No step leads to 'b'; name it in the 'next' of another, or remove it."
        ]
    }


def test_what_is_inside_of_an_unreachable_step_is_not_reported_too():
    document = [action("a"), each("m", reading("b", "steps.a.output"))]
    assert list(errors_of(document)) == ["steps[1]"]


def test_cycles_inside_need_a_bound():
    document = [each("m", action("a", "b"), action("b", "a"))]
    errors = errors_of(document)
    assert list(errors) == ["steps[0].steps[1].next"]
    assert "a -> b -> a" in errors["steps[0].steps[1].next"][0]
    document[0]["steps"][0]["max_visits"] = 3
    assert errors_of(document) == {}


@pytest.mark.parametrize(
    "pause",
    [
        {"type": "WAIT", "seconds": 5},
        {"type": "EVENT", "event": "e"},
        {"type": "APPROVAL", "assignees": ["ada"]},
    ],
)
def test_a_cycle_may_wait_instead(pause):
    again = [{"when": "output.again", "step": "a"}, {"step": None}]
    assert errors_of([action("a", "w"), {"id": "w", "next": again, **pause}]) == {}


def test_a_cycle_through_a_container_is_a_cycle():
    document = [each("m", {"id": "w", "type": "WAIT", "seconds": 5, "next": None}, next="m")]
    assert "m -> m" in errors_of(document)["steps[0].next"][0]


def test_error_routes_lead_to_steps_and_close_cycles():
    routes = [{"match": ["circuit_open"], "step": "b"}]
    document = [action("a", on_error=routes), reading("b", "steps.a.error.code")]
    assert errors_of(document) == {}
    document[1]["on_error"] = [{"match": ["*"], "step": "a"}]
    assert "a -> b -> a" in errors_of(document)["steps[1].next"][0]


# --- References ------------------------------------------------------------------------------


def test_steps_inside_read_what_ran_before_them_and_before_what_they_are_in():
    document = [
        action("first", "p"),
        parallel(
            "p",
            [
                action("a", "m"),
                each(
                    "m",
                    reading("x", "steps.first.output", "steps.a.output", "item.id", next="y"),
                    reading("y", "steps.x.output", "steps.a.output", "index"),
                    over="$.steps.a.output.items",
                ),
            ],
            [reading("b", "steps.first.output")],
            next="last",
        ),
        reading("last", 'steps.p.output."m"', "steps.p.output.b"),
    ]
    found = validate(document)
    assert (found.errors, found.warnings) == ({}, [])


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("steps.b.output", "The step 'b' is in another branch of 'p', which runs at the same time"),
        ("steps.y.output", "The step 'y' is in another branch of 'p', which runs at the same time"),
        ("steps.p.output", "The step 'p' is around this one, and has not ended by then."),
        ("steps.m.output", "The step 'm' is around this one"),
        ("steps.z.output", "The step 'z' is inside of 'n' and can only be read there; read the"),
        ("steps.n.output", "The step 'n' cannot have run by then"),
        ("steps.late.output", "The step 'late' cannot have run by then"),
        ("steps.other.output", "The step 'other' is inside of 'o' and can only be read there"),
        ("event.id", "only there in the 'match' of an EVENT"),
    ],
)
def test_steps_inside_do_not_read_the_rest(text, part):
    document = [
        each("o", action("other"), next="p"),
        parallel(
            "p",
            [each("m", reading("x", text), next="n"), each("n", action("z"))],
            [action("b", "q"), each("q", action("y"))],
            next="late",
        ),
        action("late"),
    ]
    errors = errors_of(document)
    path = "steps[1].branches[0][0].steps[0].input.x[0]"
    assert list(errors) == [path]
    assert part in errors[path][0]


@pytest.mark.parametrize("text", ["steps.a.output", "steps.a_b.output.x"])
def test_steps_outside_do_not_read_steps_inside(text):
    document = {
        "steps": [
            parallel("p", [action("a")], [action("a-b")], next="last"),
            reading("last", text),
        ],
        "output": {"it": f"$.{text}"},
    }
    errors = errors_of(document)
    assert list(errors) == ["steps[1].input.x[0]", "output.it"]
    assert all("inside of 'p'" in sentences[0] for sentences in errors.values())


def test_a_container_does_not_read_what_is_inside_of_it():
    document = [each("m", action("a"), over="$.steps.a.output", when="steps.a.status")]
    errors = errors_of(document)
    assert list(errors) == ["steps[0].when", "steps[0].over"]
    assert "inside of 'm'" in errors["steps[0].over"][0]


@pytest.mark.parametrize("text", ["item", "index"])
def test_elements_are_only_there_inside_a_map(text):
    document = [
        parallel("p", [reading("a", text)], next="m"),
        each("m", parallel("q", [reading("b", text)]), over=f"$.{text}", next="c"),
        reading("c", text),
    ]
    errors = errors_of(document)
    assert list(errors) == [
        "steps[0].branches[0][0].input.x[0]",
        "steps[1].over",
        "steps[2].input.x[0]",
    ]
    assert errors["steps[1].over"] == [f"'{text}' is only there inside a MAP step."]


def test_every_expression_of_a_step_is_checked():
    document = [
        {"id": "w", "type": "WAIT", "seconds": "$.inptu.n", "next": "u"},
        {"id": "u", "type": "WAIT", "until": "$.inptu.n", "next": "e"},
        {"id": "e", "type": "EVENT", "event": "$.inptu.n", "match": "inptu.a", "next": "p"},
        {"id": "p", "type": "APPROVAL", "due": "$.inptu.n", "input": "$.inptu", "next": "c"},
        {"id": "c", "type": "WORKFLOW", "workflow": "x", "input": {"a": "$.inptu"}, "next": "z"},
        action("z", compensate={"service": "s", "action": "run", "input": {"a": "$.inptu"}}),
    ]
    errors = errors_of(document)
    assert set(errors) == {
        "steps[0].seconds",
        "steps[1].until",
        "steps[2].event",
        "steps[2].match",
        "steps[3].due",
        "steps[3].input",
        "steps[4].input.a",
        "steps[5].compensate.input.a",
    }
    assert all("did you mean input?" in sentences[0] for sentences in errors.values())


def test_the_payload_is_there_where_an_event_is_matched():
    event = {"id": "e", "type": "EVENT", "event": "paid", "match": "event.id == input.id"}
    assert errors_of([event]) == {}
    assert list(errors_of([{**event, "event": "$.event.name"}])) == ["steps[0].event"]


def test_a_compensation_reads_the_output_of_its_step():
    undo = {"service": "s", "action": "run", "input": {"id": "$.output.id", "s": "$.steps.a"}}
    assert errors_of([action("a", compensate=undo)]) == {}


# --- Outputs ---------------------------------------------------------------------------------


def test_the_output_of_a_parallel_has_the_ids_at_which_its_branches_end():
    branches = (
        [action("a-a", "b"), action("b")],
        [
            action("c", [{"when": "output.x", "step": "d"}, {"step": None}]),
            {"id": "d", "type": "FAIL", "error": "No."},
        ],
        [action("e", "g", on_error=[{"match": ["*"], "step": None}]), action("g")],
    )
    known = [f"steps.p.output.{name}.x" for name in "bceg"]
    document = [parallel("p", *branches, next="z"), reading("z", *known)]
    assert warnings_of(document) == []
    document[1] = reading("z", "steps.p.output.a_a", "steps.p.output.d")
    assert [warning.split(": ")[0] for warning in warnings_of(document)] == [
        "steps[1].input.x[0]",
        "steps[1].input.x[1]",
    ]
    assert "names b, c, e, g, not 'd'" in warnings_of(document)[1]
    document[0]["fallback"] = {"output": {"d": 1, "a_a": 2}}
    assert warnings_of(document) == []


def test_the_underscored_form_of_an_id_is_no_key_of_an_output():
    document = [parallel("p", [action("a-b")], next="z"), reading("z", "steps.p.output.a_b")]
    (warning,) = warnings_of(document)
    assert "names a-b, not 'a_b'; did you mean a-b?" in warning
    document[1] = reading("z", 'steps.p.output."a-b"')
    assert warnings_of(document) == []


def test_the_output_of_a_map_is_a_list():
    document = [each("m", action("a"), next="z"), reading("z", "steps.m.output.name")]
    (warning,) = warnings_of(document)
    assert warning.startswith("steps[1].input.x[0]: The output of 'm' is a list")
    document[1] = reading("z", "steps.m.output[].name", "steps.m.output[0].name")
    assert warnings_of(document) == []


# --- Services and workflows ------------------------------------------------------------------


def test_compensations_are_looked_up():
    undo = {"service": "nobody", "action": "undo"}
    document = [each("m", action("a", input={"id": "1"}, compensate=undo))]
    path = "steps[0].steps[0].compensate"
    assert list(errors_of(document, directory=FakeDirectory())) == [f"{path}.service"]
    undo["service"] = "s"
    assert list(errors_of(document, directory=FakeDirectory())) == [f"{path}.action"]
    undo |= {"action": "run", "input": {}}
    errors = errors_of(document, directory=FakeDirectory())
    assert errors == {f"{path}.input": ['"id" is a required property.']}


def child(step_id, workflow, following=None):
    return {"id": step_id, "type": "WORKFLOW", "workflow": workflow, "next": following}


def test_workflows_are_looked_up():
    document = [child("a", "plan", "b"), child("b", "plann")]
    expected = "There is no workflow 'plann'; did you mean plan?"
    assert errors_of(document, directory=FakeDirectory()) == {"steps[1].workflow": [expected]}
    (warning,) = warnings_of(document, directory=FakeDirectory(), draft=True)
    assert warning == f"steps[1].workflow: {expected}"


def test_a_workflow_may_run_itself():
    directory = FakeDirectory()
    assert errors_of([child("a", "New-One")], directory=directory, name="new-one") == {}
    assert directory.looked_up == []


def test_a_directory_need_not_know_workflows():
    assert errors_of([child("a", "plann")], directory=DirectoryOfActions()) == {}


# --- Any JSON --------------------------------------------------------------------------------

WORDS = """
id name type service service_type action input when retry timeout optional fallback next step output
error code message max_visits max_attempts except on steps on_error match compensate branches join
over max_concurrency tolerate_failures seconds until event assignees form due escalate_to on_timeout
minimum workflow version defaults concurrency $ref properties pattern items enum $schema
"""
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400), 1e308, "", "a", "b", "$.item", "$.a(", "$$.", "*"])
    | st.sampled_from(["2030-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "object", "#/a", "("])
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
)
KEYS = st.sampled_from(WORDS.split()) | st.text(max_size=3)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)
# Deferred, so that its description does not repeat all of this wherever it is used.
ANY: st.SearchStrategy[Any] = st.deferred(lambda: JSON)
IDS = ["a", "b", "c-d", "c_d", "e", "f"]
TEXTS = ["$.steps.a.output.x", "$.steps.c_d.error", "$.item", "$.event", "$.output", "$.input.a"]


def values_of(key, blocks):
    """Mostly what makes sense at a key, sometimes anything."""
    sensible = {
        "id": st.sampled_from(IDS),
        "type": st.sampled_from([*KINDS]),
        "next": st.sampled_from([*IDS, None]),
        "branches": st.lists(blocks, max_size=3),
        "steps": blocks,
        "over": st.sampled_from(TEXTS) | st.lists(st.sampled_from(TEXTS), max_size=2),
        "join": st.sampled_from(["ALL", "any", 1, 2]),
        "on_error": st.lists(
            st.fixed_dictionaries(
                {"match": st.lists(st.sampled_from(["*", "x"])), "step": st.sampled_from(IDS)}
            ),
            max_size=2,
        ),
        "compensate": st.fixed_dictionaries(
            {"service": st.sampled_from(["s", "t"]), "action": st.just("run")},
            optional={"input": st.dictionaries(st.just("id"), st.sampled_from(TEXTS))},
        ),
        "fallback": st.fixed_dictionaries({"output": ANY})
        | st.fixed_dictionaries({"step": st.sampled_from(IDS)}),
        "seconds": st.sampled_from([0, 5, *TEXTS]),
        "workflow": st.sampled_from(["plan", "other"]),
        "service": st.sampled_from(["s", "t"]),
        "action": st.just("run"),
        "match": st.sampled_from(["event.id", "item", "steps.a.output"]),
        "max_visits": st.integers(1, 3),
    }
    if key == "form":
        return st.dictionaries(KEYS, ANY, max_size=4) | ANY
    return sensible[key] | ANY if key in sensible else ANY | st.sampled_from(TEXTS)


def steps_of(blocks):
    keys = sorted({key for known in KINDS.values() for key in known.keys})
    optional = {key: values_of(key, blocks) for key in (*keys, "next", "when", "max_visits")}
    return st.fixed_dictionaries(
        {"id": values_of("id", blocks), "type": values_of("type", blocks)}, optional=optional
    )


INMOST = st.lists(steps_of(ANY), max_size=2)
INNER = st.lists(steps_of(st.deferred(lambda: INMOST)), max_size=2)
BLOCKS: st.SearchStrategy[Any] = st.lists(steps_of(st.deferred(lambda: INNER)), max_size=3)
DOCUMENTS = BLOCKS | st.fixed_dictionaries(
    {"steps": BLOCKS},
    optional={"output": ANY, "defaults": ANY, "timeout": ANY, "concurrency": ANY},
)


@given(DOCUMENTS | ANY)
@settings(max_examples=in_proportion(15), deadline=None)
def test_no_json_makes_it_raise(document):
    found = validate(document, directory=FakeDirectory())
    assert all(isinstance(path, str) and path for path in found.errors)
    assert all(sentences and all(sentences) for sentences in found.errors.values())
    assert found.valid or found.errors


CONTAINERS = st.recursive(
    st.just(("ACTION",)),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda parts: ("MAP", *parts)),
    max_leaves=12,
)


@given(st.lists(CONTAINERS, min_size=1, max_size=3))
@settings(max_examples=in_proportion(30), deadline=None)
def test_well_formed_nesting_is_valid_however_it_is_nested(shapes):
    counter = iter(range(1000))

    def build(parts):
        names = [f"n{next(counter)}" for _ in parts]
        following = [*names[1:], None]
        return [
            action(name, after)
            if shape[0] == "ACTION"
            else each(name, *build(shape[1:]), next=after)
            for name, after, shape in zip(names, following, parts, strict=True)
        ]

    def depth(shape):
        return 1 + max(map(depth, shape[1:])) if shape[0] == "MAP" else 0

    errors = errors_of(build(shapes))
    deepest = max(map(depth, shapes))
    assert (errors == {}) == (deepest <= 5)
