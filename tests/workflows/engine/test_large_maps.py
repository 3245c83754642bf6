"""A MAP over ten thousand elements: bounded concurrency, an ordered list, and linear cost."""

import json
from typing import Any

import pytest
from django.db import connection

from tests.support.engine import ScriptedClient, call, make_workflow, running_engine, start
from workflows import services
from workflows.engine.store import Store, claimer
from workflows.models import WorkflowExecution, WorkflowStep

pytestmark = pytest.mark.django_db(transaction=True)
DOUBLE = call("double", input={"n": "$.item.n"}, next=None)


class CountingClient(ScriptedClient):
    """Knows how many calls were under way at once."""

    def __init__(self, **answers) -> None:
        super().__init__(**answers)
        self.under_way = self.most = 0

    async def call(self, *args, **kwargs):
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            return await super().call(*args, **kwargs)
        finally:
            self.under_way -= 1


def run_map(elements: int, *, concurrency: int = 50) -> tuple[WorkflowExecution, CountingClient]:
    steps: list[dict[str, Any]] = [
        {"id": "make", "type": "TRANSFORM", "output": "$.{items: input.items}", "next": "each"},
        {
            "id": "each",
            "type": "MAP",
            "over": "$.steps.make.output.items",
            "max_concurrency": concurrency,
            "steps": [DOUBLE],
            "next": None,
        },
    ]
    client = CountingClient(double=lambda document: {"n": document["n"] * 2})
    items = [{"n": n, "text": "some words of an element"} for n in range(elements)]
    execution = start(make_workflow(steps, f"map-{elements}"), {"items": items})
    with running_engine(client):
        found = services.wait_for_end(execution, seconds=240)
    assert found.status == "COMPLETED", (found.status, found.errors)
    return found, client


@pytest.fixture
def work(monkeypatch):
    """Counts the statements of the engine, and the JSON that it reads for claims."""
    counted = {"statements": 0, "read": 0}
    commit, read_json = Store.commit, claimer.read_json

    def count_statement(execute, *args):
        counted["statements"] += 1
        return execute(*args)

    def counting_commit(self, batch):
        connection.force_debug_cursor = True  # prepared cursors tell nobody otherwise
        with connection.execute_wrapper(count_statement):
            return commit(self, batch)

    def counting_read(value):
        counted["read"] += len(value) if isinstance(value, str) else 0
        return read_json(value)

    monkeypatch.setattr(Store, "commit", counting_commit)
    monkeypatch.setattr(claimer, "read_json", counting_read)
    return counted


@pytest.mark.on_servers
def test_ten_thousand_elements_come_out_in_order(work):
    found, client = run_map(10_000)
    assert found.output == [{"n": n * 2} for n in range(10_000)]
    assert client.called("double") == 10_000
    assert client.most <= 50
    steps = WorkflowStep.objects.filter(execution=found)
    assert steps.filter(step_id="double", status="COMPLETED").count() == 10_000
    container = steps.get(step_id="each")
    assert (container.total, container.begun, container.done) == (10_000, 10_000, 10_000)
    # About twelve statements record a batch and claim the next, whatever its size.
    assert 10_000 / 50 < work["statements"] < 10_000 * 12


def test_the_list_is_not_read_again_for_each_element(work):
    def read_for(elements: int) -> int:
        work["read"] = 0
        found, _ = run_map(elements)
        # The input, what `make` came to, and the list of the container: once each, not per batch.
        return work["read"] - 4 * len(json.dumps(found.input))

    few, many = read_for(100), read_for(400)
    assert many < few * 4 + 20_000
    assert many < 400 * 500
