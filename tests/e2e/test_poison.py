"""A step that kills every process that is about to call it."""

import pytest

from tests.faults.hub_under_test import running_receiver
from tests.faults.load import define
from tests.support.waiting import PATIENCE, until

pytestmark = [pytest.mark.e2e, pytest.mark.on_servers, pytest.mark.slow]


@pytest.fixture(scope="module")
def poisonous(hub):
    """The hub, with a worker that dies at the call of the step `poison`."""
    with running_receiver() as receiver:
        define(hub, receiver)
        hub.worker.terminate()
        hub.worker.wait(PATIENCE)
        hub.worker = hub.start_worker(failpoint="C4@poison")
        until(lambda: hub.get("/health/system")["workers"], "a worker shows itself")
        yield hub


def test_poison_is_set_aside_after_three_deaths_of_which_one_is_the_workers(poisonous):
    hub = poisonous
    execution = hub.post("/workflows/poisoned/execute", {"input_data": {}})["id"]
    assert hub.worker.wait(PATIENCE) == -9
    hub.worker = hub.start_worker(failpoint="C4@poison")
    found = hub.ended(execution)
    assert (found["status"], found["errors"][0]["code"]) == ("NEEDS_REVIEW", "worker_died")
    assert "died 3 times" in found["errors"][0]["message"]
    # The second and the third were processes of the step's own.
    assert hub.worker.poll() is None
    assert hub.ended(hub.post("/workflows/five/execute", {"input_data": {}})["id"])["status"] == (
        "COMPLETED"
    )
