"""The expression language: what it reads, what it computes, what it refuses."""

import json
import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.expressions import (
    ExpressionError,
    Recorded,
    StepOutcomes,
    budget,
    build_scope,
    compile_expression,
    compile_template,
    json_size,
)
from tests.support.hypothesis_settings import in_proportion

RECORDED = Recorded(now=datetime(2026, 3, 1, 12, 30, tzinfo=UTC), seed="execution-1:step")
ITEMS = [
    {"name": "b", "size": 2, "tags": ["x"]},
    {"name": "a", "size": 1, "tags": ["x", "y"]},
    {"name": "b", "size": 2, "tags": ["x"]},
]


def make_scope(**parts):
    given_parts = {
        "input": {"language": "en", "count": 3, "items": ITEMS, "empty": "", "zero": 0},
        "context": {"user": "ada"},
        "steps": {
            "extract-text": {"output": {"text": "Hello"}, "status": "COMPLETED", "error": None},
            "skipped": {"output": None, "status": "SKIPPED", "error": {"code": "x"}},
        },
        "execution": {"id": "e1", "workflow": "w", "started_at": "2026-03-01T12:00:00Z"},
    }
    return build_scope(**{**given_parts, **parts})


def evaluate(text, **parts):
    return compile_expression(text).evaluate(make_scope(**parts), RECORDED)


def refusal(text, **parts):
    with pytest.raises(ExpressionError) as caught:
        evaluate(text, **parts)
    assert caught.value.code == "expression_error"
    assert caught.value.permanent
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$.input.language", "en"),
        ("input.language", "en"),
        ("  $.input.language ", "en"),
        ("input.nothing.at.all", None),
        ("input.language.deeper", None),
        ("context.user", "ada"),
        ("execution.id", "e1"),
        ('steps."extract-text".output.text', "Hello"),
        ("steps.extract_text.output.text", "Hello"),
        ("steps | extract_text.status", "COMPLETED"),
        ("steps.skipped.output.anything", None),
        ("steps.skipped.error.code", "x"),
        ("steps.no_such_step.output", None),
        ("input.items[0].name", "b"),
        ("input.items[*].size | sum(@)", 5),
        ("input.items[?size > `1`].name", ["b", "b"]),
        ("sort_by(input.items, &size)[0].name", "a"),
        ("input.items[].tags[]", ["x", "x", "y", "x"]),
        ("input.language == 'en' && input.count > `2`", True),
        ("input.missing || 'default'", "default"),
        ("!input.missing", True),
        ("!input.language", False),
        ("!input.missing && !steps.skipped.output.text == `true`", True),
        ("{l: input.language, n: input.count}", {"l": "en", "n": 3}),
        ("keys(steps)", ["extract-text", "skipped"]),
        ("output", None),
    ],
)
def test_reads_the_scope(text, value):
    assert evaluate(text) == value


def test_own_output_and_item_are_in_scope_where_given():
    assert evaluate("output.score", output={"score": 1}) == 1
    assert evaluate("[item, index]", item="x", index=4) == ["x", 4]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("concat('a', input.language, `1`, `null`, `true`)", "aen1true"),
        ("concat(`[1]`, input.missing, `[2, 3]`)", [1, 2, 3]),
        ("coalesce(input.missing, steps.skipped.output, input.count)", 3),
        ("coalesce(input.missing)", None),
        ("coalesce(input.empty, 'x')", ""),
        ("add(input.count, `1`)", 4),
        ("add(`1`, `2`, `3.5`)", 6.5),
        ("subtract(input.count, `5`)", -2),
        ("modulo(`7`, `3`)", 1),
        ("modulo(`-7`, `3`)", 2),
        ("capitalize('dEVELOPER two')", "Developer two"),
        ("capitalize('')", ""),
        ("at(`[1, 2, 3]`, `-1`)", 3),
        ("at(`[1]`, `1`)", None),
        ("at(`[1]`, `0.5`)", None),
        ("at(`[1]`, 'a')", None),
        ("at(`{\"a\": 1}`, 'a')", 1),
        ("at(input, input.language)", None),
        ("at(input.missing, `0`)", None),
        ('zip(`[1, 2]`, `["a", "b", "c"]`)', [[1, "a"], [2, "b"]]),
        ("cycle(`[1, 2]`, `5`)", [1, 2, 1, 2, 1]),
        ("cycle(`[]`, `5`)", []),
        ("cycle(`[1]`, `-1`)", []),
        ("format('{} in {}', input.count, input.language)", "3 in en"),
        ("format('{1}{0}{1}', 'a', 'b')", "bab"),
        ("format('{language}: {count}{missing}', input)", "en: 3"),
        ("format('{{}}')", "{}"),
        ("format('{}', `[1, \"ä\"]`)", '[1,"ä"]'),
        ("unique(input.items[].name)", ["b", "a"]),
        ("unique(input.items) | length(@)", 2),
        ('unique(`[1, true, "1", 1.0, null, 0, false]`)', [1, True, "1", None, 0, False]),
        ("keys(group_by_key(input.items, 'name'))", ["b", "a"]),
        ('group_by_key(input.items, &size)."2"[].name', ["b", "b"]),
        ("group_by_key(`[{\"a\": null}, 5]`, 'a')", {"null": [{"a": None}, 5]}),
        (
            'keys(group_by_key(`[{"a": 1}, {"a": true}, {"a": 1.0}, {"a": 1.5}]`, \'a\'))',
            ["1", "true", "1.5"],
        ),
        (
            'group_by_key(`[{"a": 0}, {"a": -0.0}]`, \'a\')',
            {"0": [{"a": 0}, {"a": -0.0}]},
        ),
        (
            'keys(group_by_key(`[{"a": {"x": [1], "y": 2}}, {"a": {"y": 2, "x": [1.0]}}]`, \'a\'))',
            ['{"x":[1],"y":2}'],
        ),
        ("to_number('1.5')", 1.5),
        ("to_number('NaN')", None),
        ("to_number('1e999')", None),
        ("contains(`[1, [2]]`, `[2]`)", True),
        ("contains(`[1]`, `true`)", False),
        ("contains('team', 'ea')", True),
        ("`1` == `true`", False),
        ("`[1]` == `[1]`", True),
        ("`[1]` != `[2]`", True),
        ("input.language < `1`", None),
        ("max(`[]`)", None),
        ("now()", "2026-03-01T12:30:00Z"),
    ],
)
def test_functions(text, value):
    assert evaluate(text) == value


def test_now_is_written_in_utc():
    recorded = Recorded(datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=2))), "s")
    assert compile_expression("now()").evaluate({}, recorded) == "2026-02-28T23:00:00Z"


def test_uuids_are_the_same_on_a_second_run_and_differ_within_one():
    template = compile_template({"a": "$.uuid()", "b": ["$.[uuid(), uuid()]"]})
    first = template.render(make_scope(), RECORDED)
    assert first == template.render(make_scope(), RECORDED)
    assert len({first["a"], *first["b"][0]}) == 3
    assert first != template.render(make_scope(), Recorded(RECORDED.now, "another"))


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("input.language", True),
        ("input.zero", True),
        ("input.empty", False),
        ("input.missing", False),
        ("`false`", False),
        ("`[]`", False),
        ("`{}`", False),
        ("input.count > `5`", False),
    ],
)
def test_truth_is_that_of_jmespath(text, truth):
    assert compile_expression(text).truth(make_scope(), RECORDED) is truth


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is empty"),
        ("$.", "is empty"),
        ("input.", "incomplete"),
        ("input..a", "character 7"),
        ("steps.extract-text.output", 'steps."my-step"'),
        ("add($.input.count, `1`)", "only at the very beginning"),
        ("ad(input.count)", "no function ad(); did you mean add?"),
        ("uuid(`1`)", "takes 0 arguments, and was given 1"),
        ("subtract(`1`)", "takes 2 arguments"),
        ("zip()", "at least 1 argument, and was given 0"),
        ("add()", "at least 1 argument, and was given 0"),
        ("&input", "'&' only stands before"),
        ("coalesce(&input)", "was given expref"),
        ("input.items[::0]", "slice cannot be 0"),
        ("`NaN`", "not a JSON number"),
        ("input.language == `en`", "write a text in single quotes"),
        ("input.language 'en'", "unexpected 'en'"),
        ("`[1e999]`", "too large"),
        ('`"\\u0000"`', "NUL"),
        ('`{"\\ud800": 1}`', "surrogate"),
        ('{"\\u0000": input}', "cannot be stored"),
        ("a" * 1001, "1001 characters; 1000 is the most"),
        ("(" * 30 + "a" + ")" * 30, "20 levels"),
        ("[" * 400 + "a" + "]" * 400, "20 levels"),
        ("!" * 900 + "a", "nested"),
        (" || ".join(["a"] * 25), "20 levels"),
        ("`" + "[" * 30 + "]" * 30 + "`", "20 levels"),
        ("`" + "[" * 450 + "]" * 450 + "`", "levels"),
    ],
)
def test_refuses_to_compile(text, part):
    assert part in refusal(text)


@pytest.mark.parametrize("value", [None, 5, [], {}, True])
def test_only_texts_are_expressions(value):
    with pytest.raises(ExpressionError, match="must be a text"):
        compile_expression(value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("add(input.missing, `1`)", "argument 1, and was given null"),
        ("join(',', input.items[].size)", "elements are all string"),
        ('sort(`[1, "a"]`)', "holds number, string"),
        ("sort_by(input.items, &tags)", "needs string or number, and was given array"),
        ("length(input.count)", "array or object or string"),
        ("concat(`[1]`, 'a')", "either lists or texts"),
        ("format('{')", "single '{'"),
        ("format('{} {}', `1`)", "has none"),
        ("format('{99999}', `1`)", "has none"),
        ("format('{name}', `1`)", "one object"),
        ("add(`1e308`, `1e308`)", "out of range"),
        ("sum(`[1e308, 1e308]`)", "out of range"),
        ("unique(input.language)", "was given string"),
    ],
)
def test_fails_with_a_sentence(text, part):
    message = refusal(text)
    assert part in message
    assert text[:20] in message


def nested_copies(times):
    return "|".join(["[@,@,@,@,@,@]"] * times)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (nested_copies(15), "larger than 1 MiB"),
        (f"({nested_copies(8)}) == ({nested_copies(8)})", "cannot be compared"),
        (f"{nested_copies(8)} | to_string(@)", "larger than 1 MiB"),
        (f"contains([({nested_copies(8)})], ({nested_copies(8)}))", "cannot be compared"),
        (f"input.big | {'|'.join(['[@,@][]'] * 8)}", "larger than 1 MiB|100 ms"),
        ("concat(" + ",".join(["input.text"] * 40) + ")", "larger than 1 MiB"),
        ("join(input.text, input.many)", "larger than 1 MiB"),
        ("format('" + "{0}" * 60 + "', input.text)", "larger than 1 MiB"),
        ("sort(input.texts)", "longer than 4 MiB"),
        ("max_by(input.texts, &@)", "longer than 4 MiB"),
        ("input.texts", "larger than 1 MiB"),
        ("unique(input.big[].{a: @, b: @, c: [@, @]})", "100 ms"),
    ],
)
def test_work_is_bounded(text, part):
    parts = {
        "text": "t" * 100_000,
        "many": ["x"] * 100,
        "texts": ["t" * 100_000] * 60,
        "big": [*range(100_000)],
    }
    with pytest.raises(ExpressionError, match=part):
        evaluate(text, input=parts)


def test_deadline_uses_the_clock(monkeypatch):
    ticks = iter(range(1000))
    monkeypatch.setattr(budget, "_clock", lambda: float(next(ticks)))
    assert "100 ms" in refusal("length(input.items)")


def test_number_of_visits_is_bounded(monkeypatch):
    monkeypatch.setattr(budget, "_clock", lambda: 0.0)
    monkeypatch.setattr(budget, "MAX_VISITS", 1000)
    assert "100 ms" in refusal("input.many[?@ > `1`]", input={"many": [0] * 1000})


def test_template_bounds_its_whole_result():
    template = compile_template(["$.input.text"] * 11)
    with pytest.raises(ExpressionError, match="template's result") as caught:
        template.render(make_scope(input={"text": "t" * 100_000}), RECORDED)
    assert caught.value.details["path"] == "[10]"


def test_template_bounds_its_whole_time(monkeypatch):
    ticks = iter(range(1000))
    monkeypatch.setattr(budget, "_clock", lambda: next(ticks) * 0.02)
    with pytest.raises(ExpressionError, match="more than a second"):
        compile_template(["$.length(input.items)"] * 100).render(make_scope(), RECORDED)


@pytest.mark.parametrize(
    ("text", "references"),
    [
        ("$.input.a.b", {("input", "a", "b")}),
        ("steps.x.output || context.y", {("steps", "x", "output"), ("context", "y")}),
        ('steps."x-y" | output.z', {("steps", "x-y", "output", "z")}),
        ("steps.{a: x.output, b: y.error}", {("steps", "x", "output"), ("steps", "y", "error")}),
        ("input.items[?size > `1`].name", {("input", "items")}),
        ("map(&steps.z, input.items)", {("input", "items")}),
        ("concat(input.a, now())", {("input", "a")}),
        ("steps.*.output", {("steps",)}),
        ("input.items[0].name", {("input", "items")}),
        ("!steps.a.output && !input", {("steps", "a", "output"), ("input",)}),
        ("[input, input.a]", {("input", "a")}),
        ("`5`", set()),
    ],
)
def test_references(text, references):
    assert compile_expression(text).references == references


def test_names_roots_and_steps_that_are_read():
    expression = compile_expression('concat(steps.a.output, steps."b-c".error.code, input.x)')
    assert expression.roots == {"steps", "input"}
    assert expression.step_ids == {"a", "b-c"}


def test_compiled_expressions_are_cached_compared_and_pickled():
    expression = compile_expression("input.a")
    assert compile_expression("input.a") is expression
    assert pickle.loads(pickle.dumps(expression)) == expression


def test_template_mixes_constants_expressions_and_escapes():
    template = compile_template(
        {
            "a": "$.input.language",
            "b": [1, {"c": "$.input.count"}],
            "d": "$$.x",
            "e": "$100",
            "f": 1,
        }
    )
    rendered = template.render(make_scope(), RECORDED)
    assert rendered == {"a": "en", "b": [1, {"c": 3}], "d": "$.x", "e": "$100", "f": 1}
    assert list(rendered) == ["a", "b", "d", "e", "f"]
    assert [path for path, _ in template.expressions] == ["a", "b[1].c"]
    assert not template.is_constant


def test_rendering_leaves_the_template_as_it_was():
    template = compile_template({"a": {"b": "$.input.language"}})
    template.render(make_scope(), RECORDED)["a"]["b"] = "changed"
    assert template.render(make_scope(), RECORDED) == {"a": {"b": "en"}}


def test_constant_template_is_given_back_as_it_is():
    value = {"a": [1, {"b": None}]}
    template = compile_template(value)
    assert template.is_constant
    assert template.render({}, RECORDED) is value


def test_a_text_can_be_the_whole_template():
    assert compile_template("$.input.count").render(make_scope(), RECORDED) == 3


def test_template_names_every_bad_expression():
    with pytest.raises(ExpressionError) as caught:
        compile_template({"a": "$.x(", "b": [0, {"odd key": "$.nofunction()"}], "c": "$.input"})
    assert list(caught.value.details["errors"]) == ["a", 'b[1]["odd key"]']


def test_template_nesting_is_bounded():
    value: str | list = "$.input"
    for _ in range(100):
        value = [value]
    with pytest.raises(ExpressionError, match="32 levels"):
        compile_template(value)


def test_failing_part_of_a_template_is_named():
    with pytest.raises(ExpressionError) as caught:
        compile_template({"a": {"b": "$.add('x')"}}).render(make_scope(), RECORDED)
    assert caught.value.details == {"expression": "$.add('x')", "path": "a.b"}


def test_step_written_with_underscores_yields_to_the_exact_id():
    steps = StepOutcomes({"a-b": {"output": 1}, "a_b": {"output": 2}})
    assert steps.get("a_b") == {"output": 2}
    assert steps.get("nothing") is None
    assert steps.get("no_thing", 5) == 5
    assert build_scope(input={}, context={}, steps=steps, execution={})["steps"] is steps


def test_steps_that_are_added_later_are_found_with_underscores_too():
    steps = StepOutcomes({"a-b": 1})
    assert steps.get("a_b") == 1
    steps["c-d"] = 2
    assert steps.get("c_d") == 2
    assert pickle.loads(pickle.dumps(steps)).get("c_d") == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
@settings(max_examples=in_proportion(30), deadline=None)
def test_size_is_close_to_that_of_json(value):
    exact = len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    estimate = json_size(value, 1 << 30)
    assert exact / 8 - 16 <= estimate <= exact * 3 + 16


WORDS = """
input steps items a-b . | || && ! [ ] [] [? * ( ) { } : , @ & ' " ` == < > 0 1 -1 sort_by unique
format concat group_by_key to_number map $ \\ \\u0000
"""


@given(
    st.lists(st.sampled_from(WORDS.split()), max_size=25).map("".join) | st.text(max_size=40), JSON
)
@settings(max_examples=in_proportion(100), deadline=None)
def test_no_text_does_more_than_fail(text, value):
    try:
        result = compile_expression(text).evaluate(make_scope(input=value), RECORDED)
    except ExpressionError as error:
        assert error.message
    else:
        json.dumps(result)
