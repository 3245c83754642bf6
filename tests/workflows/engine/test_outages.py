"""What a step comes to while the service that it calls is down, or suspected to be gone."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from registry import services
from registry.calls.client import ServiceClient
from registry.models import Integration, ServiceAction, ServiceInstance
from registry.services import Heartbeat
from tests import factories
from tests.support.credentials import Reply, serving
from tests.support.engine import ended, make_workflow, running_engine, start
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
RETRY = {"max_attempts": 3, "base_delay": 0.01, "jitter": False}
TARGETS: list[dict[str, str]] = [
    {"service": "planner", "action": "plan"},
    {"service_type": "PLANNING_SYSTEM", "action": "plan"},
    {"integration": "plan"},
]


@pytest.fixture
def base():
    with serving(lambda *_: Reply(200, b'{"plan": 1}')) as url:
        yield url


@pytest.fixture
def planner(base):
    service = factories.make_service("planner", urls=(base,), type="PLANNING_SYSTEM")
    ServiceAction.objects.create(service=service, name="plan", path="/plan")
    Integration.objects.create(
        name="plan", target_kind="SERVICE", target="planner", action="plan", status="ACTIVE"
    )
    return service


def workflow_of(target: dict[str, str]) -> Any:
    return make_workflow([{"id": "a", **target, "retry": RETRY}])


def run(engine: Any, workflow: Any) -> Any:
    execution = start(workflow)
    until(lambda: engine.look() or has_ended(execution))
    return execution


def has_ended(execution: Any) -> bool:
    execution.refresh_from_db()
    return bool(execution.has_ended)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: next(iter(t)))
def test_step_waits_for_what_is_down_and_comes_back(target, planner):
    workflow = workflow_of(target)
    with running_engine(ServiceClient()) as engine:
        assert run(engine, workflow).status == "COMPLETED"
        services.record_heartbeat(services.get_service("planner"), Heartbeat(status="OFFLINE"))
        execution = run(engine, workflow)
        assert execution.errors[0]["code"] == "service_unavailable"
        assert execution.steps.count() == 3
        services.record_heartbeat(services.get_service("planner"), Heartbeat(status="ONLINE"))
        assert run(engine, workflow).status == "COMPLETED"


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: next(iter(t)))
def test_step_says_when_only_a_suspect_could_be_called(target, planner):
    ServiceInstance.objects.update(suspected_at=timezone.now())
    execution = start(workflow_of(target))
    with running_engine(ServiceClient()):
        assert ended(execution).status == "COMPLETED"
    (warning,) = factories.caller().get(f"/executions/{execution.pk}").json()["warnings"]
    assert warning["code"] == "fail_open"
    assert "suspected to be gone" in warning["message"]
