"""The facade: what a program in the hub's process may ask of it, as docs/embedding.md shows."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.mediator import RequestMediator
from integration_site.facade import SystemIntegrationFacade
from registry.exceptions import CallError
from registry.models import Service
from registry.services import Registration
from tests.support.credentials import Reply, serving
from tests.support.engine import ScriptedClient, call, make_workflow, running_engine
from tests.support.integrations import own_client
from workflows.models import ExecutionStatus
from workflows.services import Start, Started, start_many

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = ROOT / "docs" / "embedding.md"


@pytest.fixture(autouse=True)
def _client() -> Iterator[None]:
    with own_client():
        yield


@pytest.fixture
def planner() -> Iterator[str]:
    """The URL of a service that answers with what it was asked."""
    with serving(
        lambda _, body: Reply(200, json.dumps({"asked": json.loads(body)}).encode())
    ) as url:
        yield url


def register(url: str) -> Service:
    action = {"name": "plan", "method": "POST", "path": "/plan"}
    registration = Registration(name="planner", url=url, actions=[action], status="ONLINE")
    return SystemIntegrationFacade().register_service(registration, actor="test").service


def test_example_of_the_documentation_runs(planner: str) -> None:
    workflow = make_workflow([call("plan")], name="project-planning")
    workflow.type = "PROJECT_PLANNING"
    workflow.save()
    (example,) = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)
    names: dict[str, Any] = {"url": planner}
    with running_engine(ScriptedClient(plan=lambda document: {"planned": True})) as engine:
        program = threading.Thread(target=exec, args=(example, names))
        program.start()
        while program.is_alive():
            engine.look()
            program.join(0.02)
    assert names["names"] == ["planner"]
    assert names["result"].output == {"asked": {"goal": "a library"}}
    assert names["execution"].status == ExecutionStatus.COMPLETED


def test_every_method_is_documented() -> None:
    methods = {name for name in vars(SystemIntegrationFacade) if not name.startswith("_")}
    documented = set(re.findall(r"^\| `(\w+)\(", DOCUMENT.read_text(), re.M))
    assert documented == methods


def test_service_is_registered_once_and_then_refreshed(planner: str) -> None:
    assert register(planner) == register(planner)
    assert Service.objects.count() == 1


def test_services_that_are_down_are_not_found(planner: str) -> None:
    SystemIntegrationFacade().register_service(
        Registration(name="planner", url=planner, status="OFFLINE"), actor="test"
    )
    assert SystemIntegrationFacade().find_services() == []


def test_call_carries_the_id_of_the_request_that_it_is_made_for() -> None:
    ids = []

    def answer(handler: Any, _: bytes) -> Reply:
        ids.append(handler.headers["X-Request-ID"])
        return Reply(200, b"{}")

    with serving(answer) as url:
        register(url)
        context = {"request_id": "request-1"}
        SystemIntegrationFacade().execute_action("planner", "plan", {}, context=context)
    assert ids == ["request-1"]


def test_call_without_an_answer_is_an_error() -> None:
    register("http://127.0.0.1:9")
    with pytest.raises(CallError):
        SystemIntegrationFacade().execute_action("planner", "plan", {})


def test_request_is_sent_to_whoever_handles_its_type(planner: str) -> None:
    workflow = make_workflow([call("plan")])
    sent: list[tuple[str, Start]] = []

    def start_workflow(starts: Sequence[Start]) -> list[Started | Exception]:
        sent.extend((workflow.name, start) for start in starts)
        return start_many([(workflow, start) for start in starts])

    requests = RequestMediator()
    requests.register_handler("OWN_TYPE", start_workflow)
    start = Start(input={"a": 1}, context={})
    execution = SystemIntegrationFacade(requests=requests).execute_request("OWN_TYPE", start)
    assert sent == [("w", start)]
    assert not execution.has_ended
