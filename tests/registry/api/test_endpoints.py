"""Endpoints, as earlier services register them, become actions."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.exceptions import ValidationError

from registry.api.endpoints import action_name, with_actions_of_endpoints
from registry.api.service_serializers import ServiceInput

PLAN = {"path": "/plans/strategic", "method": "post", "description": "Plan"}


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/projects/{project_id}", "get_projects_project_id"),
        ("POST", "/plans/execution-plan", "post_plans_execution_plan"),
        ("DELETE", "/", "delete_root"),
        ("GET", "/" + "x" * 200, "get_" + "x" * 96),
    ],
)
def test_an_action_is_named_from_method_and_path(method: str, path: str, name: str) -> None:
    assert action_name(method, path) == name


def test_endpoints_follow_the_actions_that_are_named() -> None:
    named = {"name": "post_plans_strategic", "path": "/other"}
    read = with_actions_of_endpoints({"actions": [named, "ping"], "endpoints": [PLAN]})
    assert read == {"actions": [named, "ping"]}
    needy = {**PLAN, "required_permissions": ["a", "b"]}
    [action] = with_actions_of_endpoints({"endpoints": [needy]})["actions"]
    assert action == {
        "name": "post_plans_strategic",
        "method": "POST",
        "path": "/plans/strategic",
        "description": "Plan Required permissions: a, b.",
    }


def test_endpoints_of_one_name_are_told_apart() -> None:
    paths = ("/a/b", "/a-b", "/a_b", "/a/b")
    read = with_actions_of_endpoints({"endpoints": [{"path": p, "method": "GET"} for p in paths]})
    assert [(a["name"], a["path"]) for a in read["actions"]] == [
        ("get_a_b", "/a/b"),
        ("get_a_b_2", "/a-b"),
        ("get_a_b_3", "/a_b"),
    ]


@pytest.mark.parametrize(
    ("endpoints", "path"),
    [
        ("GET /x", "endpoints"),
        ([1], "path"),
        ([{"method": "GET"}], "path"),
        ([{"path": "x"}], "path"),
        ([{"path": "/x", "method": 1}], "method"),
        ([{"path": "/x", "required_permissions": "a"}], "required_permissions"),
        ([{"path": "/x", "retries": 3}], "retries"),
    ],
)
def test_what_is_no_endpoint_is_refused_at_its_place(endpoints: Any, path: str) -> None:
    with pytest.raises(ValidationError) as caught:
        with_actions_of_endpoints({"endpoints": endpoints})
    assert path in str(caught.value.detail)


def test_a_registration_takes_them_and_null_for_none() -> None:
    for given, count in (([PLAN], 1), (None, None), ([], None)):
        reader = ServiceInput(data={"name": "planner", "endpoints": given})
        assert reader.is_valid(), reader.errors
        actions = reader.validated_data.get("actions")
        assert (None if actions is None else len(actions)) == count
