"""Definitions as the earlier reference documented them become those of the hub."""

from __future__ import annotations

from typing import Any

import pytest

from core.exceptions import ValidationFailed
from integration_site.legacy.definitions import has_definition, new_workflow, validation
from integration_site.legacy.model import OldRequest
from workflows.definition import parse


def translated(*steps: dict[str, Any]) -> list[dict[str, Any]]:
    request = OldRequest(
        "POST", "/workflows", body={"name": "w", "definition": {"steps": [*steps]}}
    )
    present = new_workflow(request, None)
    parse({"steps": present.body["steps"]})
    return list(present.body["steps"])


def step(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "step_type": "http", "endpoint": "POST http://planner/x", **fields}


@pytest.mark.parametrize(
    ("steps", "order"),
    [
        ([step("b", sequence=2), step("a", sequence=1)], ["a", "b"]),
        ([step("a", depends_on=["b"]), step("b")], ["b", "a"]),
        ([step("a", sequence=1, depends_on="b"), step("b", sequence=2)], ["b", "a"]),
        ([step("a", depends_on=["gone"]), step("b", sequence=1)], ["b", "a"]),
        ([step("Ask / them"), step("b")], ["Ask---them", "b"]),
    ],
)
def test_steps_follow_each_other_as_they_depend(
    steps: list[dict[str, Any]], order: list[str]
) -> None:
    found = translated(*steps)
    assert [each["id"] for each in found] == order
    assert [each["next"] for each in found] == [*order[1:], None]


def test_a_step_calls_its_endpoint_as_often_as_its_policy_says() -> None:
    policy = {"max_attempts": 4, "backoff_base": 2, "backoff_multiplier": 1}
    [found] = translated(step("a", service="pl/an", endpoint="/plans", retry_policy=policy))
    assert (found["service"], found["action"]) == ("pl-an", "POST /plans")
    assert found["retry"] == {"max_attempts": 4, "base_delay": 2, "backoff": "FIXED"}
    [found] = translated(step("a", endpoint="GET http://planner:8000/plans/{id}"))
    assert (found["service"], found["action"]) == ("planner", "GET /plans/{id}")


@pytest.mark.parametrize(
    ("steps", "field"),
    [
        ([step("a", endpoint=None)], "definition.steps.a.endpoint"),
        ([step("a", endpoint="/plans")], "definition.steps.a.endpoint"),
        ([step("a"), {"step_type": "http"}], "definition.steps.1.name"),
        ([step("a", depends_on=["b"]), step("b", depends_on=["a"])], "definition.steps"),
    ],
)
def test_what_cannot_be_translated_is_refused_at_its_place(
    steps: list[dict[str, Any]], field: str
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        translated(*steps)
    assert field in refused.value.details["errors"]


def test_what_is_of_today_passes_as_it_is() -> None:
    steps = [{"id": "a", "service": "s", "action": "x"}]
    assert not has_definition(OldRequest("POST", "/workflows", body={"name": "w", "steps": steps}))
    request = OldRequest("POST", "/workflows/w/validate", body={"steps": steps}, subject="w")
    assert validation(request, None).body == {"steps": steps}
