"""What differs between two definitions."""

from __future__ import annotations

from typing import Any

from tests.support.engine import call
from workflows.definition.diff import KeyChange, compare


def document(*steps: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"steps": list(steps), **options}


def test_same_documents_have_no_difference():
    one = document(call("a", input={"x": [1, {"y": None}]}, next="b"), call("b"))
    found = compare(
        one, document(*reversed([call("b"), call("a", input={"x": [1, {"y": None}]}, next="b")]))
    )
    assert found.is_same
    assert found.unchanged == ("a", "b")


def test_added_and_removed_steps_come_whole():
    found = compare(document(call("a"), call("b")), document(call("a"), call("c", name="See")))
    assert [(s.id, s.name, s.document["action"]) for s in found.added] == [("c", "See", "c")]
    assert [s.id for s in found.removed] == ["b"]
    assert (found.changed, found.unchanged, found.is_same) == ((), ("a",), False)


def test_changes_name_the_key_with_before_and_after():
    before = call("a", input={"list": [1, 2], "deep": {"x": 1}}, timeout=3, next="b")
    after = call("a", input={"list": [1, 5, 6], "deep": {"x": 1}}, next="c", optional=True)
    (step,) = compare(document(before), document(after)).changed
    assert set(step.changes) == {
        KeyChange("input.list[1]", "CHANGED", 2, 5),
        KeyChange("input.list[2]", "ADDED", None, 6),
        KeyChange("timeout", "REMOVED", 3, None),
        KeyChange("next", "CHANGED", "b", "c"),
        KeyChange("optional", "ADDED", None, True),
    }


def test_true_is_not_one():
    (step,) = compare(document(call("a", x=1)), document(call("a", x=True))).changed
    assert step.changes == (KeyChange("x", "CHANGED", 1, True),)


def test_steps_inside_of_others_are_compared_by_themselves():
    def fork(*inside: dict[str, Any]) -> dict[str, Any]:
        return {"id": "fork", "type": "PARALLEL", "branches": [list(inside), [call("z")]]}

    found = compare(document(fork(call("a"))), document(fork(call("a", timeout=1), call("b"))))
    assert [(s.id, s.place) for s in found.added] == [("b", "fork[0]")]
    assert [(s.id, [c.path for c in s.changes]) for s in found.changed] == [
        ("fork", ["branches[0][1]"]),
        ("a", ["timeout"]),
    ]


def test_step_that_moved_says_from_where_to_where():
    each = {"id": "each", "type": "MAP", "over": "$.input.list", "steps": [call("a")]}
    found = compare(document(call("a"), {**each, "steps": [call("b")]}), document(each, call("b")))
    moved = {s.id: s.changes[0] for s in found.changed if s.id in ("a", "b")}
    assert moved["a"] == KeyChange("(place)", "CHANGED", "top", "each")
    assert moved["b"] == KeyChange("(place)", "CHANGED", "each", "top")


def test_options_and_the_first_step_are_compared():
    found = compare(
        document(call("a", next="b"), call("b"), timeout=5, output={"x": 1}),
        document(call("b"), call("a", next="b"), output={"x": 2}),
    )
    assert found.options == (
        KeyChange("(first step)", "CHANGED", "a", "b"),
        KeyChange("timeout", "REMOVED", 5, None),
        KeyChange("output.x", "CHANGED", 1, 2),
    )


def test_documents_that_are_not_definitions_are_compared_as_far_as_they_go():
    assert compare({"steps": "x"}, {"steps": [5, {"id": None}]}).added[0].id == "None"
