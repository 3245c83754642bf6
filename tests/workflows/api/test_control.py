"""Control over executions, over the API."""

import pytest

from tests.support.engine import call, make_workflow, start
from workflows.models import WorkflowExecution, WorkflowStep

pytestmark = pytest.mark.django_db


def begun(steps, status, input):
    execution = start(make_workflow(steps))
    execution.steps.update(status=status, input=input, wake_at=None)
    WorkflowExecution.objects.update(status="RUNNING")
    return execution


def test_pause_and_resume(api):
    execution = start(make_workflow([call("a")]))
    paused = api.post(f"/executions/{execution.pk}/pause")
    assert (paused.status_code, paused.json()["status"]) == (200, "PAUSED")
    assert api.post(f"/executions/{execution.pk}/pause").status_code == 409
    resumed = api.post(f"/executions/{execution.pk}/resume")
    assert resumed.json()["status"] == "RUNNING"
    assert WorkflowStep.objects.get().wake_at is not None


def test_signal_is_kept_in_the_history(api):
    execution = start(make_workflow([call("a")]))
    answer = api.post(
        f"/executions/{execution.pk}/signal", {"name": "paid", "payload": {"amount": 3}}
    )
    assert answer.status_code == 200
    events = api.get(f"/executions/{execution.pk}/events?include=payload").json()["items"]
    assert events[-1]["payload"] == {"name": "paid", "payload": {"amount": 3}}


def test_approval_by_its_path_in_a_branch(api):
    ask = {"id": "ask", "type": "APPROVAL", "form": {"type": "object", "required": ["sum"]}}
    execution = begun([ask], "WAITING", {"decisions": [], "until": None, "document": {}})
    execution.steps.update(path="fork/0/ask", scope="fork/0")
    url = f"/executions/{execution.pk}/steps/fork/0/ask"
    refused = api.post(f"{url}/approve", {"form": {}})
    assert (refused.status_code, list(refused.json()["errors"])) == (422, ["form"])
    assert api.post(f"{url}/approve", {"form": {"sum": 1}}).status_code == 200
    assert execution.steps.get().status == "PENDING"


def test_rejection_of_what_asks_nobody_is_a_conflict(api):
    execution = start(make_workflow([call("a")]))
    answer = api.post(f"/executions/{execution.pk}/steps/a/reject", {"comment": "no"})
    assert answer.status_code == 409


def test_reviewed_step_is_completed_or_failed_by_a_person(api):
    execution = begun([call("a")], "NEEDS_REVIEW", {})
    url = f"/executions/{execution.pk}/steps/a"
    assert api.post(f"{url}/fail", {}).status_code == 400
    assert api.post(f"{url}/complete", {"output": {"x": 1}}).status_code == 200
    assert execution.steps.get().error["told"] == {"output": {"x": 1}}
    assert api.post(f"{url}/complete", {}).status_code == 409


def test_unknown_step_is_not_found(api):
    execution = start(make_workflow([call("a")]))
    assert api.post(f"/executions/{execution.pk}/steps/zzz/approve").status_code == 404
