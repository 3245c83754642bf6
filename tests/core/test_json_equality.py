"""One equality of JSON values at every place that compares them: true is no 1, and 1.0 is 1."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.admin.forms import StrictJSONField
from core.db.json_lookups import has_entry
from core.expressions import Recorded, compile_expression
from core.json.equality import canonical_json, json_equal
from registry.admin.integration_forms import MappingFormField
from registry.connections.lifecycle import update_connection
from registry.models import Service
from tests import factories
from tests.support.connections import EDITOR, make_connection
from workflows.definition.diff import compare
from workflows.models import Workflow, checksum_of

DIFFERENT: list[tuple[Any, Any]] = [
    (True, 1), (False, 0), (True, 1.0), (False, 0.0), (None, False), (0, ""), ("1", 1),
    ([True], [1]), ([[False]], [[0]]), ({"a": True}, {"a": 1}), ({"a": [0]}, {"a": [False]}),
    ({"a": None}, {}), ([], {}), ([1, 2], [2, 1]), ({"a": 1, "b": 2}, {"a": 1}), ([1], [1, 1]),
    (2**53 + 1, float(2**53)), ("a", "A"), ([1], 1),
]  # fmt: skip
EQUAL: list[tuple[Any, Any]] = [
    (1, 1.0), (0, -0.0), ([1], [1.0]), ({"a": {"b": [2.0]}}, {"a": {"b": [2]}}),
    ({"a": 1, "b": True}, {"b": True, "a": 1.0}), (1e22, 10**22), (None, None), ("é", "\u00e9"),
]  # fmt: skip
RECORDED = Recorded(now=datetime(2026, 3, 1, tzinfo=UTC), seed="s")


def evaluated(text: str, left: Any, right: Any) -> Any:
    return compile_expression(text).evaluate({"input": {"l": left, "r": right}}, RECORDED)


def in_a_definition(value: Any) -> dict[str, Any]:
    return {"steps": [{"id": "a", "type": "TRANSFORM", "output": {"x": value}}]}


def kept_by(field: Any, left: Any, right: Any) -> bool:
    return not field.has_changed({"x": left}, json.dumps({"x": right}))


# How each place that compares JSON values says whether two are equal.
PLACES: dict[str, Callable[[Any, Any], Any]] = {
    "function": json_equal,
    "canonical text": lambda left, right: canonical_json(left) == canonical_json(right),
    "expression ==": lambda left, right: evaluated("input.l == input.r", left, right),
    "expression !=": lambda left, right: not evaluated("input.l != input.r", left, right),
    "literal": lambda left, right: evaluated(f"input.l == `{json.dumps(right)}`", left, None),
    "filter": lambda left, right: (
        evaluated(f"length([{{v: input.r}}][?v == `{json.dumps(left)}`])", None, right) == 1
    ),
    "contains()": lambda left, right: evaluated("contains([input.l], input.r)", left, right),
    "unique()": lambda left, right: len(evaluated("unique([input.l, input.r])", left, right)) == 1,
    "comparison of versions": lambda left, right: compare(
        in_a_definition(left), in_a_definition(right)
    ).is_same,
    "checksum of a version": lambda left, right: (
        checksum_of(in_a_definition(left)) == checksum_of(in_a_definition(right))
    ),
    "form in the admin": lambda left, right: kept_by(StrictJSONField(), left, right),
    "mapping in the admin": lambda left, right: kept_by(MappingFormField(), left, right),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_every_place_compares_as_json_does(place: str) -> None:
    for left, right in DIFFERENT:
        assert not PLACES[place](left, right), (left, right)
        assert not PLACES[place](right, left), (right, left)
    for left, right in EQUAL:
        assert PLACES[place](left, right), (left, right)
        assert PLACES[place](right, left), (right, left)


PLAIN = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, 1.5, "", "1"])
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=6,
)


@given(VALUES, VALUES)
@settings(max_examples=300, deadline=None)
def test_canonical_texts_are_equal_exactly_when_values_are(left: Any, right: Any) -> None:
    assert (canonical_json(left) == canonical_json(right)) is json_equal(left, right)


def test_values_are_compared_however_deep_they_are() -> None:
    left: Any = []
    right: Any = []
    for _ in range(100_000):
        left, right = [left], [right]
    assert json_equal(left, right)
    while left:  # their end would recurse
        left, right = left.pop(), right.pop()


@pytest.mark.django_db
def test_both_databases_find_entries_by_the_same_equality() -> None:
    pairs = DIFFERENT + EQUAL
    for number, (_, stored) in enumerate(pairs):
        factories.make_service(f"s{number}", metadata={"x": stored})
    for number, (wanted, _) in enumerate(pairs):
        rows = Service.objects.filter(has_entry("metadata", "x", wanted))
        found = set(rows.values_list("name", flat=True))
        expected = {f"s{n}" for n, (_, stored) in enumerate(pairs) if json_equal(wanted, stored)}
        assert found == expected, (number, wanted)


@pytest.mark.django_db
def test_an_object_with_more_in_it_is_not_the_wanted_one() -> None:
    factories.make_service("more", metadata={"x": {"a": 1, "b": 2}, "l": ["a", "b"]})
    assert not Service.objects.filter(has_entry("metadata", "x", {"a": 1})).exists()
    assert not Service.objects.filter(has_entry("metadata", "l", ["a"])).exists()


@pytest.mark.django_db
@pytest.mark.parametrize("body", ["input", "context"])
def test_a_start_is_replayed_for_the_same_request_alone(body: str) -> None:
    factories.make_workflow("w")
    api = factories.caller("OPERATOR")

    def start(number: int, value: Any) -> Any:
        request = {"input": "input_data", "context": "context"}[body]
        return api.post(
            "/workflows/w/execute", {request: {"a": value}}, format="json",
            HTTP_IDEMPOTENCY_KEY=f"k{number}",
        )  # fmt: skip

    for number, (left, right) in enumerate(DIFFERENT + EQUAL):
        first, second = start(number, left), start(number, right)
        assert first.status_code == 202, first.content
        if json_equal(left, right):
            assert second.json()["id"] == first.json()["id"]
        else:
            assert second.status_code == 409, (left, right)
            assert f"another {body}" in second.json()["detail"]
        assert start(number, left).json()["id"] == first.json()["id"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({}, {"context": {"a": 1}}, "another context"),
        ({"context": {"a": 1}}, {}, "another context"),
        ({}, {"priority": 5}, "another priority"),
        ({}, {"context": {"request_id": "mine"}}, "another context"),
    ],
)
def test_a_start_with_a_used_key_says_in_what_it_differs(
    first: Any, second: Any, words: str
) -> None:
    factories.make_workflow("w")
    api = factories.caller("OPERATOR")
    answers = [
        api.post("/workflows/w/execute", body, format="json", HTTP_IDEMPOTENCY_KEY="k")
        for body in (first, second)
    ]
    assert [answer.status_code for answer in answers] == [202, 409]
    assert words in answers[1].json()["detail"]


@pytest.mark.django_db
def test_another_boolean_makes_a_new_version_and_the_same_number_does_not() -> None:
    factories.make_workflow("w")
    api = factories.caller("WORKFLOW_EDITOR")
    numbers = []
    for value in (1, 1.0, True, 1):
        answer = api.patch("/workflows/w", in_a_definition(value), format="json")
        assert answer.status_code == 200, answer.content
        numbers.append(Workflow.objects.get(name="w").current_version.number)  # type: ignore[union-attr]
    assert [n - numbers[0] for n in numbers] == [0, 0, 1, 2]


@pytest.mark.django_db
def test_another_body_of_a_test_makes_the_connection_be_tested_anew() -> None:
    def config(body: Any) -> dict[str, Any]:
        return {"config": {"test_method": "POST", "test_body": body}}

    row = make_connection("WEBHOOK", **config({"a": 1}))
    row.check_failures = 2
    row.save()
    assert update_connection(row, config({"a": 1.0}), EDITOR).check_failures == 2
    assert update_connection(row, config({"a": True}), EDITOR).check_failures == 0
