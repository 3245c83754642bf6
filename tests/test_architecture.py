"""docs/architecture.md is true: its walks are followed, and it names what is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from registry.calls.blocking_client import close_shared_client, on_shared_loop
from registry.credentials.grants import grant_actions
from registry.models import ServiceAction
from tests import factories
from tests.support.credentials import Reply, make_credential, serving
from tests.support.engine import ScriptedClient, call, ended, make_workflow, running_engine
from tests.support.tracing import PACKAGES, calls_recorded
from workflows.models import WorkflowExecution

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()

pytestmark = pytest.mark.django_db(transaction=True)
Recording = Iterator[list[str]]


@contextmanager
def heartbeat() -> Recording:
    factories.make_service("billing", urls=("http://localhost:1",), owner="billing")
    client = factories.caller("SERVICE", name="billing")
    path, beat = "/services/billing/heartbeat", {"url": "http://localhost:1"}
    client.post(path, beat, format="json")
    with calls_recorded() as calls:
        assert client.post(path, beat, format="json").status_code == 200
    yield calls


@contextmanager
def started_execution() -> Recording:
    make_workflow([call("a")], name="orders")
    client = factories.caller("OPERATOR")
    with calls_recorded() as calls:
        answer = client.post("/workflows/orders/execute", {"input": {}}, format="json")
        assert answer.status_code == 202, answer.content
        with running_engine(ScriptedClient(a=lambda document: {"ok": True})):
            assert ended(WorkflowExecution.objects.get()).status == "COMPLETED"
    yield calls


def in_loop_thread(work: Callable[[], None]) -> None:
    async def run() -> None:
        work()

    on_shared_loop(lambda client: run()).result()


@contextmanager
def call_with_credential() -> Recording:
    with serving(lambda request, body: Reply(200, b"{}")) as url:
        service = factories.make_service("billing", urls=(url,))
        service.credential = make_credential("BEARER_TOKEN", allowed_origins=[url])
        service.save()
        ServiceAction.objects.create(service=service, name="charge", path="/charge")
        grant_actions(service, actor="tester")
        client = factories.caller("OPERATOR")
        close_shared_client()
        with calls_recorded(in_loop_thread) as calls:
            answer = client.post(
                "/services/billing/actions/charge/execute", {"input": {}}, format="json"
            )
            assert answer.status_code == 200, answer.content
    yield calls


SCENARIOS: dict[str, Callable[[], Any]] = {
    "A heartbeat": heartbeat,
    "A started execution": started_execution,
    "A call with a credential": call_with_credential,
}


def steps_of(walk: str) -> list[str]:
    """Return the functions that a walk of the page names, in their order."""
    section = PAGE.split(f"### {walk}", 1)[1].split("\n#", 1)[0]
    return re.findall(r"^\d+\. `([\w.]+)`", section, re.MULTILINE)


@pytest.mark.parametrize("walk", SCENARIOS)
def test_a_walk_is_what_happens(walk: str) -> None:
    with SCENARIOS[walk]() as calls:
        ways = [name for name, _ in groupby(calls)]
    steps = steps_of(walk)
    assert len(steps) >= 5, "The walk has no steps."
    rest = iter(ways)
    missed = [step for step in steps if step not in rest]
    assert missed == [], f"Not called, or not in this order: {missed[0]}"


def test_every_package_has_its_paragraph() -> None:
    there = {
        str(path.parent.relative_to(ROOT)).replace("/", ".")
        for package in PACKAGES
        for path in (ROOT / package).glob("*/__init__.py")
    } - {f"{package}.{name}" for package in PACKAGES for name in ("migrations", "management")}
    told = set(re.findall(r"`([\w/]+)/`", PAGE))
    assert sorted(name for name in there if name.replace(".", "/") not in told) == []
