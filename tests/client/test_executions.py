import httpx2
import pytest

from service_integration_client import (
    CircuitOpenError,
    MaxRetriesExceededError,
    ServiceIntegrationClient,
    WorkflowExecutionError,
)
from service_integration_client.configuration import Configuration
from service_integration_client.hub import BlockingHub, HubOptions, run_blocking
from service_integration_client.operations import runs
from service_integration_client.results import errors_of
from tests.client.fake_hub import BASE_URL, FakeHub, answer

RUNNING = {"id": "e1", "execution_id": "e1", "status": "RUNNING", "workflow_name": "docs"}
DONE = {
    **RUNNING,
    "status": "COMPLETED",
    "output": {"sentiment": "positive", "score": 0.8},
    "steps": [{"id": "a"}],
}
FAILED = {
    **RUNNING,
    "status": "FAILED",
    "output": None,
    "errors": [{"step": "summarize", "code": "service_unavailable", "message": "It is down."}],
}


async def test_result_is_the_output_and_knows_its_execution():
    hub = FakeHub(answer(200, DONE))
    client = hub.client(ServiceIntegrationClient)

    result = await client.execute_workflow("w", {"x": 1}, {"project_id": "p"})

    assert result["sentiment"] == "positive"
    assert dict(result) == DONE["output"]
    assert (result.execution_id, result.status, result.steps) == ("e1", "COMPLETED", [{"id": "a"}])
    assert hub.bodies == [{"input_data": {"x": 1}, "context": {"project_id": "p"}, "wait": 60}]


def test_long_execution_is_polled_until_it_ends():
    hub = FakeHub(answer(202, RUNNING), answer(200, RUNNING), answer(200, DONE))

    result = hub.client().execute_workflow("w")

    assert result.status == "COMPLETED"
    assert hub.paths()[1:] == ["GET /api/executions/e1?wait=20"] * 2


def test_without_waiting_the_execution_is_the_answer():
    hub = FakeHub(answer(202, RUNNING))

    execution = hub.client().execute_workflow("w", wait=False)

    assert dict(execution) == RUNNING
    assert execution.execution_id == "e1"
    assert hub.bodies[0]["wait"] == 0
    assert len(hub.requests) == 1


def test_failed_execution_raises_with_step_code_and_sentence():
    hub = FakeHub(answer(200, FAILED))

    with pytest.raises(WorkflowExecutionError) as caught:
        hub.client().execute_workflow("w")

    error = caught.value
    assert (error.step, error.code) == ("summarize", "service_unavailable")
    assert (error.execution_id, error.status) == ("e1", "FAILED")
    assert str(error) == (
        "docs: execution e1 is FAILED at step summarize: (service_unavailable) It is down."
    )


def test_failed_execution_is_answered_when_asked_for():
    hub = FakeHub(answer(200, FAILED))
    client = hub.client()

    result = client.execute_workflow("w", raise_on_failure=False)

    assert result.status == "FAILED"
    assert dict(result) == {}
    assert result.errors == FAILED["errors"]


@pytest.mark.parametrize("status", ["CANCELLED", "NEEDS_REVIEW"])
def test_execution_that_will_not_complete_ends_the_waiting(status):
    hub = FakeHub(answer(200, {**RUNNING, "status": status}))

    with pytest.raises(WorkflowExecutionError, match=status):
        hub.client().execute_workflow("w")


def test_output_that_is_no_object_is_an_attribute():
    hub = FakeHub(answer(200, {**DONE, "output": [1, 2]}))

    result = hub.client().execute_workflow("w")

    assert (dict(result), result.output) == ({}, [1, 2])


def test_waiting_ends_after_the_timeout():
    hub = FakeHub(answer(202, RUNNING))
    client = hub.client()

    with pytest.raises(WorkflowExecutionError) as caught:
        client.execute_workflow("w", timeout=0)

    assert caught.value.code == "wait_timeout"
    assert hub.bodies[0]["wait"] == 0


def test_restart_of_the_hub_is_waited_out_while_polling():
    outage = [httpx2.ConnectError("refused")] * 4
    hub = FakeHub(answer(202, RUNNING), *outage, answer(200, DONE))

    result = hub.client().execute_workflow("w")

    assert result.status == "COMPLETED"
    assert hub.slept == [0.5, 1.0, 2.0, 0.5]


def test_longer_restart_is_asked_after_as_often_as_the_breaker_allows():
    outage = [httpx2.ConnectError("refused")] * 7
    hub = FakeHub(answer(202, RUNNING), *outage, answer(200, DONE))

    assert hub.client().execute_workflow("w").status == "COMPLETED"
    assert 20 < sum(hub.slept) < 40


def test_start_whose_answer_was_lost_is_asked_again_with_the_same_key():
    outage = [httpx2.ReadError("cut"), *[httpx2.ConnectError("refused")] * 4]
    hub = FakeHub(*outage, answer(200, DONE))

    result = hub.client().execute_workflow("w")

    assert result.status == "COMPLETED"
    assert set(hub.paths()) == {"POST /api/workflows/w/execute"}
    assert len({request.headers["idempotency-key"] for request in hub.requests}) == 1


def test_start_that_never_reached_the_hub_is_given_up():
    hub = FakeHub(httpx2.ConnectError("refused"))

    with pytest.raises(MaxRetriesExceededError) as caught:
        hub.client().execute_workflow("w")

    assert (caught.value.attempts, caught.value.may_have_happened) == (4, False)


def test_outage_is_not_waited_out_beyond_the_timeout():
    hub = FakeHub(httpx2.ReadError("cut"))
    client = hub.client()

    with pytest.raises((CircuitOpenError, MaxRetriesExceededError)) as caught:
        client.execute_workflow("w", timeout=1e-9)

    assert caught.value.may_have_happened


@pytest.mark.parametrize(
    "answers",
    [
        [answer(503, {"code": "service_unavailable", "message": "Down."})],
        [answer(202, RUNNING), httpx2.ConnectError("refused")],
        [httpx2.ReadError("cut")],
    ],
    ids=["start", "poll", "start whose answer was lost"],
)
@pytest.mark.parametrize("timeout", [0.4, 1.0, 4.0, 9.0])
def test_no_pause_crosses_the_timeout(answers, timeout):
    fake = FakeHub(*answers)
    options = HubOptions(
        Configuration(BASE_URL, None, 5.0),
        transport=fake.transport,
        sleep=fake.slept.append,
        clock=lambda: float(sum(fake.slept)),
    )

    with pytest.raises((CircuitOpenError, MaxRetriesExceededError)):
        run_blocking(runs.execute_workflow(BlockingHub(options), "w", timeout=timeout))

    assert sum(fake.slept) < timeout


def test_own_key_makes_the_same_execution():
    hub = FakeHub(answer(200, DONE))
    client = hub.client()

    client.execute_workflow("w", idempotency_key="order-4711")
    client.execute_workflow_type("CUSTOM", idempotency_key="order-4711")

    assert {request.headers["idempotency-key"] for request in hub.requests} == {"order-4711"}


def test_hub_that_stays_away_ends_the_polling():
    hub = FakeHub(answer(202, RUNNING), httpx2.ConnectError("refused"))

    with pytest.raises(CircuitOpenError):
        hub.client().execute_workflow("w")

    assert sum(hub.slept) > 30


def test_workflow_is_run_by_its_type():
    hub = FakeHub(answer(200, DONE))
    client = hub.client()

    result = client.execute_workflow_type("PROJECT_PLANNING", {"project_id": "p"})

    assert result["score"] == 0.8
    assert hub.paths() == ["POST /api/workflows/execute"]
    assert hub.bodies[0]["workflow_type"] == "PROJECT_PLANNING"
    assert hub.bodies[0]["data"] == {"project_id": "p"}


def test_version_and_rerun_say_what_runs():
    hub = FakeHub(answer(200, DONE), answer(202, RUNNING), answer(200, DONE))
    client = hub.client()

    client.execute_workflow("w", version=3)
    result = client.rerun_execution("e0", from_step="b", step_input={"x": 1}, version="newest")

    assert result.execution_id == "e1"
    assert hub.paths()[:2] == ["POST /api/workflows/w/execute", "POST /api/executions/e0/rerun"]
    assert hub.bodies[0] == {"input_data": {}, "context": {}, "wait": 60, "version": 3}
    assert hub.bodies[1] == {
        "from_step": "b",
        "step_input": {"x": 1},
        "version": "newest",
        "wait": 60,
    }


def test_single_error_of_an_execution_is_a_list_of_one():
    assert errors_of({"errors": {"message": "No."}}) == [{"message": "No."}]
