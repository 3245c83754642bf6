"""The earlier client makes, finds and changes integrations with all that it could ever send."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from integration_site.legacy.integrations import _action_in
from registry.models import Integration
from tests.support.old_client import OldService

CONFIG = {"endpoint": "/plans/strategic", "method": "post", "retries": 3, "timeout_seconds": 7}


@pytest.fixture
def services(old: httpx2.Client) -> None:
    OldService(old, name="planner", service_id="plan-1").register()
    OldService(old, name="asker", service_id="ask-1", base_url="http://127.0.0.1:8").register()


def make(old: httpx2.Client, **fields: Any) -> dict[str, Any]:
    body = {
        "name": "plans", "source_service_id": "ask-1", "target_service_id": "plan-1",
        "integration_type": "REST", "config": CONFIG, "description": "Plans",
        "metadata": {"team": "a"}, **fields,
    }  # fmt: skip
    answer = old.post("/api/integrations", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.usefixtures("services")
def test_an_integration_is_made_of_services_and_a_free_config(old: httpx2.Client) -> None:
    made = make(old)
    assert made["config"] == CONFIG
    assert made["metadata"] == {"team": "a"}
    names = ("source_service_id", "target_service_id", "integration_type")
    assert [made[name] for name in names] == ["ask-1", "plan-1", "REST"]
    row = Integration.objects.get()
    assert (row.source, row.target, row.action) == ("asker", "planner", "POST /plans/strategic")
    assert (row.type, row.config) == ("CUSTOM", {"timeout_seconds": 7})
    assert old.get(f"/integrations/{made['id']}").json()["config"] == CONFIG
    assert old.delete("/integrations/plans").status_code == 204


@pytest.mark.usefixtures("services")
@pytest.mark.parametrize(
    ("config", "action"),
    [
        ({"action": "post_plans_strategic"}, "post_plans_strategic"),
        ({}, "post_plans_strategic"),  # the only one that it has
        ({"path": "any/{id}", "method": "GET"}, "GET /any/{id}"),
    ],
)
def test_any_config_makes_a_target(old: httpx2.Client, config: Any, action: str) -> None:
    assert make(old, config=config, integration_type="SERVICE_CALL")["target"] == {
        "service": "planner",
        "action": action,
    }


@pytest.mark.usefixtures("services")
def test_integrations_are_found_and_changed(old: httpx2.Client) -> None:
    make(old)
    for query in (
        {"source_service_id": "ask-1"}, {"target_service_id": "plan-1"},
        {"target_service_id": "planner"}, {"integration_type": "REST"}, {"status": "active"},
    ):  # fmt: skip
        page = old.get("/integrations", params=query).json()
        assert (len(page["items"]), page["success"]) == (1, True), query
        assert page["metadata"]["filters"] == query
    assert old.get("/integrations", params={"source_service_id": "plan-1"}).json()["items"] == []
    changed = old.put(
        "/integrations/plans",
        json={"config": {"endpoint": "/other", "retries": 4}, "metadata": {"b": 1}, "odd": True},
    ).json()
    assert changed["target"] == {"service": "planner", "action": "POST /other"}
    assert changed["config"] == {**CONFIG, "endpoint": "/other", "retries": 4}
    assert changed["metadata"] == {"team": "a", "b": 1}
    assert (
        old.put("/integrations/plans", json={"status": "inactive"}).json()["status"] == "INACTIVE"
    )


@pytest.mark.parametrize(
    ("config", "action"),
    [
        ({"endpoint": "http://host:8/a/b?c=d"}, "POST /a/b"),
        ({"url": "a"}, "POST /a"),
        ({"endpoint": 1}, ""),
        ({}, ""),
    ],
)
def test_the_action_is_read_from_a_config(config: Any, action: str) -> None:
    assert _action_in(config) == action
