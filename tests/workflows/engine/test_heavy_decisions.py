"""What a definition computes does not hold up the steps of others in the same worker."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.support.engine import ScriptedClient, call, ended, make_workflow, running_engine, start
from workflows import decide
from workflows.decide import state
from workflows.definition import parse
from workflows.definition.weight import MOST_PLAIN


def _transform(name: str, output: Any, **more: Any) -> dict[str, Any]:
    return {"id": name, "type": "TRANSFORM", "output": output, "next": None, **more}


LIGHT: dict[str, list[dict[str, Any]]] = {
    "names a value": [_transform("a", {"n": "$.input.n"})],
    "a call of what came before": [call("a", next="b"), call("b", input={"n": "$.steps.a.output"})],
}
HEAVY: dict[str, list[dict[str, Any]]] = {
    "a function": [_transform("a", {"n": "$.length(input.l)"})],
    "a projection": [_transform("a", "$.input.l[*].n")],
    "a condition": [_transform("a", {}, when="input.n > `1`")],
    "a way on": [
        _transform("a", {}, next=[{"when": "contains(input.l, `1`)", "step": "b"}, {"step": "b"}]),
        _transform("b", {}),
    ],
    "an undoing": [call("a", compensate={"service": "s", "action": "x", "input": "$.keys(input)"})],
    "inside of a map": [
        {"id": "m", "type": "MAP", "over": "$.input.l", "next": None,
         "steps": [_transform("a", "$.to_string(item)")]}],
    "names very many": [_transform("a", ["$.input.n"] * (MOST_PLAIN + 1))],
}  # fmt: skip


@pytest.mark.once
@pytest.mark.parametrize("steps", LIGHT.values(), ids=LIGHT)
def test_what_only_names_values_is_light(steps: list[dict[str, Any]]) -> None:
    assert parse({"steps": steps}).is_light


@pytest.mark.once
@pytest.mark.parametrize("steps", HEAVY.values(), ids=HEAVY)
def test_what_computes_is_not(steps: list[dict[str, Any]]) -> None:
    assert not parse({"steps": steps}).is_light


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("output", [{"n": "$.input.n"}, {"n": "$.abs(input.n)"}])
def test_only_what_computes_is_decided_apart_from_the_loop(
    output: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    resume = decide.resume

    def noting(*about: Any, **more: Any) -> Any:
        seen.append(threading.current_thread().name)
        return resume(*about, **more)

    monkeypatch.setattr(decide, "resume", noting)
    execution = start(make_workflow([_transform("a", output)]), {"n": 1})
    with running_engine(ScriptedClient()):
        assert ended(execution).output == {"n": 1}
    is_apart = ["engine-decisions" in name for name in seen]
    assert is_apart == ["abs" in output["n"]]


@pytest.mark.django_db(transaction=True)
def test_a_decision_that_takes_long_leaves_the_rest_to_another_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state, "MAX_INLINE_SECONDS", -1.0)
    turns: list[str] = []
    resume = decide.resume

    def noting(execution: Any, row: Any, **more: Any) -> Any:
        turns.append(row.step_id)
        return resume(execution, row, **more)

    monkeypatch.setattr(decide, "resume", noting)
    steps = [_transform(name, {"n": "$.input.n"}, next=after)
             for name, after in (("a", "b"), ("b", "c"), ("c", None))]  # fmt: skip
    execution = start(make_workflow(steps), {"n": 1})
    with running_engine(ScriptedClient()):
        found = ended(execution)
    assert (found.status, found.output) == ("COMPLETED", {"n": 1})
    assert turns == ["a", "b", "c"]
