"""The client library against a hub in processes of its own."""

from __future__ import annotations

import os
import re
import signal
import threading
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from service_integration_client import (
    AuthenticationError,
    ConflictError,
    InvalidStepsError,
    ResourceNotFoundError,
    ServiceRegistration,
    SyncServiceIntegrationClient,
    ValidationError,
    WorkflowExecutionError,
    request_id,
)
from tests.e2e.conftest import surroundings_of
from tests.support.dropping_proxy import dropping
from tests.support.real_hub import ROOT, running_hub
from tests.support.servers import free_port
from tests.support.waiting import PATIENCE, until

pytestmark = [pytest.mark.e2e, pytest.mark.once]

ECHO = [{"id": "say", "type": "TRANSFORM", "output": {"said": "$.input.text"}, "next": None}]
FAIL = [{"id": "no", "type": "FAIL", "error": {"message": "It cannot."}}]
ASK = [{"id": "may-i", "type": "APPROVAL", "assignees": ["first-operator"], "next": None}]
LISTEN = [{"id": "ear", "type": "EVENT", "event": "word", "next": None}]
WAIT = [
    {"id": "rest", "type": "WAIT", "seconds": 6, "next": "say"},
    {"id": "say", "type": "TRANSFORM", "output": {"said": "Good morning."}, "next": None},
]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """One that logs every request."""
    surroundings = {**surroundings_of("test_client"), "LOG_LEVEL": "INFO"}
    with running_hub(tmp_path_factory.mktemp("client"), surroundings) as found:
        yield found


@pytest.fixture(scope="module")
def client(hub):
    with SyncServiceIntegrationClient(f"{hub.url}/api", api_key=hub.key) as found:
        found.create_workflow("echo", steps=ECHO)
        yield found


def test_service_is_registered_changed_found_and_removed(client):
    actions = [{"name": "count", "method": "GET", "path": "/items/{sku}"}]
    made = client.register_service("stock", "Counts.", "http://127.0.0.1:9", actions, type="CUSTOM")
    name = made["id"]
    assert client.update_service(name, description="Counts all.")["description"] == "Counts all."
    assert client.get_service("stock")["id"] == name
    assert client.heartbeat(name, url="http://127.0.0.1:9")["status"] == "ONLINE"
    assert client.get_service_health(name, probe=True)["instances"]
    assert client.find_service("CUSTOM")["name"] == "stock"
    assert client.discover("CUSTOM", action="count")["total"] == 1
    assert client.search_services(types=["CUSTOM"], action="count")["total"] == 1
    assert [each["name"] for each in client.iter_discovered_services("CUSTOM")] == ["stock"]

    client.add_service_instance(name, "http://127.0.0.1:10", zone="b")
    instances = {i["url"]: i["id"] for i in client.get_service_instances(name)["items"]}
    assert client.remove_service_instance(name, instances["http://127.0.0.1:10"])["deleted"]
    assert client.set_service_status(name, "MAINTENANCE")["status"] == "MAINTENANCE"

    index = client.watch_services()["index"]
    client.deregister_service(name)
    assert client.watch_services(index, wait=5)["changed"]
    with pytest.raises(ResourceNotFoundError) as caught:
        client.get_service(name)
    assert (caught.value.resource_type, caught.value.resource_id) == ("service", name)


def test_workflow_is_kept_in_versions(client):
    made = client.create_workflow("kept", "Says.", ECHO, {"team": "a"})
    other = [{**ECHO[0], "id": "say-it"}]
    assert client.update_workflow("kept", steps=other)["version"] == 2
    assert [each["number"] for each in client.iter_workflow_versions("kept")] == [2, 1]
    client.activate_workflow_version("kept", 1)
    assert client.get_workflow(made["id"])["steps"][0]["id"] == "say"
    assert "kept" in [each["name"] for each in client.iter_workflows(per_page=1)]
    assert client.delete_workflow("kept")["deleted"]


def test_steps_are_validated_by_their_services_and_by_the_hub(client):
    assert client.validate_workflow_steps(ECHO)["valid"] is True
    with pytest.raises(ValueError, match=r"^Service 'nobody' not found$"):
        client.validate_workflow_steps([{"id": "a", "service": "nobody", "action": "x"}])
    with pytest.raises(InvalidStepsError) as caught:
        client.validate_workflow_steps([{**ECHO[0], "next": "nowhere"}])
    assert "steps[0].next" in caught.value.validation_errors


def test_result_is_the_output_and_knows_its_execution(client):
    result = client.execute_workflow("echo", {"text": "Hello."}, {"project_id": "p"})
    assert (result["said"], result.status) == ("Hello.", "COMPLETED")
    assert [step["step_id"] for step in result.steps] == ["say"]
    execution = result.execution_id
    assert client.get_workflow_execution_status(execution)["status"] == "COMPLETED"
    assert [s["step_id"] for s in client.iter_execution_steps(execution)] == ["say"]
    assert len(list(client.iter_execution_events(execution, per_page=1))) >= 2
    assert execution in [each["id"] for each in client.iter_executions(per_page=1)]
    assert execution in [each["id"] for each in client.iter_workflow_executions("echo")]
    with pytest.raises(ConflictError):
        client.cancel_execution(execution)


def test_request_id_is_in_the_execution_and_in_the_log_of_the_hub(client, hub):
    with request_id("order-4711"):
        result = client.execute_workflow("echo", {"text": "x"})
        with pytest.raises(ResourceNotFoundError) as caught:
            client.get_workflow("nowhere")
    assert result.execution["context"]["request_id"] == "order-4711"
    assert caught.value.request_id == "order-4711"
    log = (hub.directory / "hub.log").read_text()
    assert "request_id=order-4711" in re.sub(r"\x1b\[[0-9;]*m", "", log)


def test_failed_execution_names_its_step_and_is_retried(client):
    client.create_workflow("bad", steps=FAIL)
    with pytest.raises(WorkflowExecutionError, match=r"It cannot\.") as caught:
        client.execute_workflow("bad")
    assert (caught.value.step, caught.value.status) == ("no", "FAILED")
    again = client.retry_execution(caught.value.execution_id)
    assert client.wait_for_execution(again["id"])["status"] == "FAILED"


def started(client: Any, name: str, steps: Any) -> str:
    """An execution that waits for somebody."""
    client.create_workflow(name, steps=steps)
    made = client.execute_workflow(name, wait=False)
    until(
        lambda: client.wait_for_execution(made["id"], seconds=1)["steps"], "its first step begins"
    )
    return made.execution_id


def test_people_and_signals_let_executions_go_on(client):
    asking = started(client, "ask", ASK)
    client.approve_step(asking, "may-i", comment="Yes.")
    assert client.wait_for_execution(asking)["status"] == "COMPLETED"
    listening = started(client, "listen", LISTEN)
    client.pause_execution(listening)
    client.resume_execution(listening)
    client.signal_execution(listening, "word", {"text": "Now."})
    assert client.wait_for_execution(listening)["status"] == "COMPLETED"
    refused = client.execute_workflow("ask", wait=False).execution_id
    client.wait_for_execution(refused, seconds=1)
    client.reject_step(refused, "may-i", comment="No.")
    assert client.wait_for_execution(refused)["status"] == "FAILED"


def test_steps_that_need_no_review_are_not_settled_by_hand(client):
    execution = client.execute_workflow("echo", {"text": "x"}).execution_id
    with pytest.raises(ConflictError):
        client.complete_step(execution, "say", {"said": "y"})
    with pytest.raises(ConflictError):
        client.fail_step(execution, "say", "No.")


def test_breakers_are_controlled(client):
    client.register_service("guarded", endpoint="http://127.0.0.1:9", actions=[{"name": "x"}])
    guarded = client.get_service("guarded")["instances"][0]["id"]
    assert client.open_circuit_breaker(guarded, "Test.", seconds=60)["state"] == "FORCED_OPEN"
    assert client.get_circuit_breaker(guarded)["state"] == "FORCED_OPEN"
    assert list(client.iter_circuit_breakers(service="guarded"))
    client.close_circuit_breaker(guarded, "Test.")
    assert client.disable_circuit_breaker(guarded, "Test.")["state"] == "DISABLED"
    assert client.reset_circuit_breaker(guarded, "Test.")["state"] == "CLOSED"


def test_many_executions_are_cancelled_at_once(client):
    client.create_workflow("many", "", LISTEN)
    waiting = {client.execute_workflow("many", wait=False).execution_id for _ in range(3)}
    chosen = {"workflow": "many"}
    count = client.preview_bulk_operation("cancel", chosen)["count"]
    assert count == len(waiting)
    with pytest.raises(ValidationError):
        client.start_bulk_operation("burn", chosen, count)
    operation = client.start_bulk_operation("cancel", chosen, count, reason="Test.")["id"]
    until(lambda: client.get_bulk_operation(operation)["status"] == "COMPLETED", "it is done")
    assert {client.wait_for_execution(e)["status"] for e in waiting} == {"CANCELLED"}
    assert operation in {found["id"] for found in client.iter_bulk_operations()}
    with pytest.raises(ConflictError):
        client.cancel_bulk_operation(operation)


def test_incidents_are_read(client):
    assert client.get_incidents("open")["items"] == [] == list(client.iter_incidents())
    with pytest.raises(ResourceNotFoundError):
        client.get_incident("00000000-0000-0000-0000-000000000000")
    for decide in (client.acknowledge_incident, client.expire_suspects, client.keep_suspects):
        with pytest.raises(ResourceNotFoundError):
            decide("00000000-0000-0000-0000-000000000000")


def test_schedules_are_kept(client):
    schedule = client.create_schedule("nightly", "echo", "0 3 * * *", timezone="Europe/Berlin")[
        "id"
    ]
    client.update_schedule(schedule, cron="0 4 * * *")
    client.disable_schedule(schedule)
    assert client.get_schedule(schedule)["enabled"] is False
    client.enable_schedule(schedule)
    assert client.run_schedule(schedule)["outcome"]
    start, end = "2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z"
    with pytest.raises(ValidationError):
        client.backfill_schedule(schedule, end, start, dry_run=True)
    assert [each["name"] for each in client.iter_schedules(enabled=True)] == ["nightly"]
    assert len(list(client.iter_schedule_runs(schedule))) == 1
    assert client.delete_schedule(schedule)["deleted"]


def test_repeated_key_creates_once(client):
    first = client.execute_workflow("echo", {"text": "x"}, idempotency_key="once")
    again = client.execute_workflow("echo", {"text": "x"}, idempotency_key="once")
    assert first.execution_id == again.execution_id


def test_writes_whose_answers_are_lost_are_done_once(hub, client):
    """The hub commits, the answer is cut off, the retry is told what was done the first time."""
    with (
        dropping(hub.url) as (url, writes),
        SyncServiceIntegrationClient(f"{url}/api", api_key=hub.key, sleep=lambda _: None) as lossy,
    ):
        lossy.register_service("lost", endpoint="http://127.0.0.1:9", actions=[{"name": "x"}])
        lossy.add_service_instance("lost", "http://127.0.0.1:10")
        steps = [{**ECHO[0], "id": "say-it"}]
        lossy.create_workflow("lost", steps=ECHO)
        assert lossy.update_workflow("lost", steps=steps)["version"] == 2
        result = lossy.execute_workflow("lost", {"text": "Once."})
        waiting = lossy.execute_workflow("lost", {"text": "x"}, wait=False)
        lossy.create_connection("lost", "HTTP", "http://127.0.0.1:9")
        lossy.disable_connection("lost", "Test.")
        lossy.create_integration("lost", {"service": "lost", "action": "x"})
        lossy.create_schedule("lost", "lost", "0 3 * * *")
        run = lossy.run_schedule("lost")
        made = {
            "workflows": client.get_workflow_versions("lost")["total"],
            "executions": client.get_workflow_executions("lost")["total"],
            "instances": client.get_service_instances("lost")["total"],
            "runs": client.get_schedule_runs("lost")["total"],
            **{
                name: sum(each["name"] == "lost" for each in getattr(client, f"iter_{name}")())
                for name in ("services", "connections", "integrations", "schedules")
            },
        }
        assert lossy.delete_schedule("lost")["deleted"]
        assert lossy.delete_integration("lost")["deleted"]
    assert (result["said"], bool(waiting.execution_id), run["outcome"]) == ("Once.", True, ANY)
    assert made == {
        "workflows": 2, "executions": 3, "instances": 2, "runs": 1, "services": 1,
        "connections": 1, "integrations": 1, "schedules": 1,
    }  # fmt: skip
    assert (len(writes), set(writes.values())) == (13, {2})


def test_django_service_registers_itself_and_is_offline_after_its_end(client, hub):
    address = f"127.0.0.1:{free_port()}"
    serving = hub.run(
        f"gunicorn --bind {address} --workers 2 tests.e2e.django_shop:application",
        root=hub.directory,  # where no configuration of gunicorn lies
        PYTHONPATH=f"{ROOT}:{ROOT / 'client' / 'src'}",
        SHOP_URL=f"http://{address}",
        SERVICE_INTEGRATION_URL=f"{hub.url}/api",
        SERVICE_INTEGRATION_API_KEY=hub.key,
    )
    until(lambda: hub.api.get("/registry/services/django-shop").is_success, "it registers")
    probed = client.get_service_health("django-shop", probe=True)
    assert (probed["status"], len(probed["instances"])) == ("ONLINE", 1)
    serving.terminate()
    assert serving.wait(PATIENCE) == 0
    assert client.get_service("django-shop")["status"] == "OFFLINE"


def test_errors_say_what_is_wrong(client, hub):
    with pytest.raises(ValidationError) as caught:
        client.create_workflow("w", steps=[{"id": "a", "type": "NONE"}])
    assert "steps[0].type" in caught.value.validation_errors
    with pytest.raises(ConflictError):
        client.create_workflow("echo", steps=ECHO)
    wrong = SyncServiceIntegrationClient(f"{hub.url}/api", api_key="si_wrong")
    with pytest.raises(AuthenticationError):
        wrong.get_services()


def kill_with_children(process: Any) -> None:
    """End a web server as a power cut would, its workers too."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (process.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    process.wait()


def test_restart_of_the_hub_in_the_middle_loses_nothing(client, hub):
    """Last, as it ends the web server: the start's answer is lost, the result is not."""
    client.create_workflow("patient", steps=WAIT)
    with ServiceRegistration(
        "lasting", "http://127.0.0.1:9", heartbeat_interval=1, base_url=f"{hub.url}/api",
        api_key=hub.key,
    ):  # fmt: skip
        found: list[Any] = []
        waiting = threading.Thread(target=lambda: found.append(client.execute_workflow("patient")))
        waiting.start()
        until(lambda: hub.get("/executions", workflow="patient")["total"] == 1, "it begins")
        kill_with_children(hub.web)
        hub.web = hub.run("gunicorn integration_site.asgi")
        until(hub.is_ready, "the hub is back", tail=hub.tail)
        hub.connect()
        waiting.join(90)
        assert found[0]["said"] == "Good morning."
        assert hub.get("/executions", workflow="patient")["total"] == 1
        client.deregister_service("lasting", force=True)
        until(
            lambda: hub.api.get("/registry/services/lasting").status_code == 200,
            "it registers again",
        )
