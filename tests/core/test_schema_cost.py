"""Schemas and values that would hold a process for minutes are refused, or checked in bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.json.schema import MOST_APPLICATIONS, Schema, check_schema, compile_schema
from core.json.schema_cost import DEEPEST, TOO_OFTEN, SchemaCost, measure


def nested(leaf: Any, depth: int, key: str = "a") -> Any:
    for _ in range(depth):
        leaf = {key: leaf}
    return leaf


def chain(keyword: str, length: int) -> dict[str, Any]:
    """Definitions that each name the next one twice."""
    definitions: dict[str, Any] = {
        f"d{i}": {keyword: [{"$ref": f"#/$defs/d{i + 1}"}, {"$ref": f"#/$defs/d{i + 1}"}]}
        for i in range(length)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{length}": {"type": "string"}}}


THREE = [{"$ref": "#"}, {"$ref": "#", "title": "b"}, {"$ref": "#", "title": "c"}]
RECURSIVE = {
    keyword: {"type": ["object", "integer"], "properties": {"a": {keyword: THREE}}}
    for keyword in ("allOf", "anyOf", "oneOf")
}
TREE = {
    "type": "object",
    "properties": {"value": {"type": "integer"}, "left": {"$ref": "#"}, "right": {"$ref": "#"}},
}


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_a_chain_that_doubles_is_refused_where_it_is_kept(keyword: str) -> None:
    assert "so often" in str(check_schema(chain(keyword, 24)))
    assert check_schema(chain(keyword, 5)) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"not": {"$ref": "#"}},
        {"$dynamicRef": "#"},
        {"if": {"$ref": "#"}, "then": True},
    ],
)
def test_a_schema_that_applies_itself_without_end_is_refused(schema: dict[str, Any]) -> None:
    assert check_schema(schema) is not None


@pytest.mark.parametrize("keyword", sorted(RECURSIVE))
@pytest.mark.parametrize("leaf", [1, "x"])
def test_what_grows_with_the_depth_is_checked_as_far_as_it_is_cheap(
    keyword: str, leaf: Any
) -> None:
    schema = Schema(RECURSIVE[keyword])
    deep = schema.problems(nested(leaf, DEEPEST - 1))
    assert "so often" in deep["$"][0]
    flat = schema.problems(nested(leaf, 3))
    assert (flat == {}) == (leaf == 1 and keyword != "oneOf")


def test_a_large_value_with_a_problem_in_each_part_is_told_the_first() -> None:
    problems = Schema({"items": {"type": "string"}}).problems([1] * 300_000)
    assert list(problems) == ["[0]"]
    choice = {"items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}
    assert list(Schema(choice).problems([1] * 300_000)) == ["$"]


def test_small_values_are_told_all() -> None:
    problems = Schema({"items": {"type": "string"}}).problems([1, "a", 2])
    assert list(problems) == ["[0]", "[2]"]


def test_a_tree_may_be_as_deep_as_can_be_parsed() -> None:
    value = nested({"value": 1}, DEEPEST - 2, "left")
    assert Schema(TREE).problems(value) == {}
    assert list(Schema(TREE).problems(nested({"value": "x"}, 2, "left"))) == ["left.left.value"]


def test_a_pattern_goes_back_only_so_often() -> None:
    schema = Schema({"type": "string", "pattern": r"(\w+\s?)*\1$"})
    assert schema.problems("aaaa " * 2000 + "!") != {}


@pytest.mark.parametrize(
    ("schema", "depth", "count"),
    [
        ({}, 5, 1),
        ({"allOf": [{}, True, {}]}, 0, 4),
        ({"properties": {"a": {}, "b": {}}}, 0, 1),
        ({"properties": {"a": {}, "b": {"allOf": [{}]}}}, 1, 3),
        ({"properties": {"a": {}}, "patternProperties": {"a": {}, "b": {}}}, 1, 4),
        ({"prefixItems": [{}, {}], "items": {}, "contains": {}}, 1, 4),
        ({"items": {"$ref": "#"}}, 3, 7),
        ({"$defs": {"x": {"$anchor": "here"}}, "$ref": "#here"}, 0, 2),
        ({"$id": "http://a/b", "$defs": {"x": {"$id": "c"}}, "$ref": "http://a/c"}, 0, 2),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {}}}, 0, 2),
        ({"prefixItems": [{}, {}], "$ref": "#/prefixItems/1"}, 0, 2),
        ({"$ref": "#/nowhere"}, 0, TOO_OFTEN),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, 0, 100),
    ],
)
def test_how_often_schemas_are_applied(schema: dict[str, Any], depth: int, count: int) -> None:
    assert SchemaCost(schema).applications(depth) == count


def test_what_is_too_involved_to_be_counted_counts_as_too_often() -> None:
    names = [f"d{i}" for i in range(60_000)]
    schema = {
        "$defs": {name: {"properties": {"a": {}}} for name in names},
        "allOf": [{"$ref": f"#/$defs/{name}"} for name in names],
    }
    assert SchemaCost(schema).applications(DEEPEST) == TOO_OFTEN


@pytest.mark.parametrize(
    ("value", "size", "depth"), [(1, 1, 0), ([], 1, 0), ([1, [2]], 4, 2), ({"a": {"b": 1}}, 3, 2)]
)
def test_size_and_depth_of_a_value(value: Any, size: int, depth: int) -> None:
    assert measure(value) == (size, depth)


def test_the_cost_of_a_plain_schema_does_not_depend_on_the_depth() -> None:
    compiled = compile_schema(json.dumps({"properties": {"a": {"type": "integer"}}}))
    assert compiled.can_check(nested(1, 2000))
    assert compiled.cost_of({"a": 1}) == 4 < MOST_APPLICATIONS
