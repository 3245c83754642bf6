"""Steps whose worker died: noticed at once on the same machine, and run apart from the others."""

import subprocess
import sys
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from tests.support.engine import (
    ScriptedClient,
    call,
    ended,
    make_workflow,
    running_engine,
    start,
    step_rows,
)
from tests.support.waiting import until
from workflows import tasks
from workflows.engine import worker, worker_identity
from workflows.engine.lease_recovery import has_due_quarantined, recover_orphaned
from workflows.engine.store import Batch, Store
from workflows.models import StepStatus, Worker, WorkflowExecution, WorkflowStep

pytestmark = pytest.mark.django_db(transaction=True)

CHAIN = [call("a", next="b"), call("b")]


def echo() -> ScriptedClient:
    return ScriptedClient(a=lambda d: {"n": 1}, b=lambda d: {"n": 2})


def name_of_an_ended_process() -> str:
    program = "from workflows.engine.worker_identity import own_name; print(own_name())"
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_name_of_this_process_is_alive_and_that_of_an_ended_one_is_gone():
    assert not worker_identity.is_gone(worker_identity.own_name())
    assert worker_identity.is_gone(name_of_an_ended_process())


def test_number_of_a_process_that_began_later_is_not_taken_for_the_old_one():
    host, place, pid, _, key = worker_identity.own_name().split(":")
    assert worker_identity.is_gone(f"{host}:{place}:{pid}:1:{key}")


@pytest.mark.parametrize(
    "name", ["host:12:abcdef01", "host:0badf00d:1:1:abcdef01", "", "a:b:c:d:e"]
)
def test_nothing_is_known_of_other_machines_and_of_other_names(name):
    assert not worker_identity.is_gone(name)


def hold_by(name: str) -> None:
    Worker.objects.create(name=name, seen_at=timezone.now())
    assert Store(owner=name, lease_seconds=300).commit(Batch(look=True, room=9)).claims


def test_steps_of_a_process_that_is_gone_are_given_back_before_their_lease_ends():
    execution = start(make_workflow(CHAIN))
    hold_by(name_of_an_ended_process())
    assert recover_orphaned() == [str(execution.steps.get().pk)]
    step = execution.steps.get()
    assert (step.status, step.deaths, step.lease_owner) == ("PENDING", 1, "")
    assert not Worker.objects.exists()


def test_steps_of_a_living_neighbour_stay_with_it():
    start(make_workflow(CHAIN))
    hold_by(worker_identity.own_name())
    assert recover_orphaned() == []
    assert Worker.objects.count() == 1


def suspect(deaths: int, name: str = "w") -> WorkflowExecution:
    execution = start(make_workflow(CHAIN, name=name))
    execution.steps.update(deaths=deaths, fence=2 * deaths)
    return execution


def test_ordinary_engine_leaves_suspects_alone():
    suspected, other = suspect(1), start(make_workflow(CHAIN, name="other"))
    with running_engine(echo()):
        assert ended(other).status == "COMPLETED"
    assert step_rows(suspected) == [("a", 1, "PENDING")]


def test_engine_for_suspects_runs_them_and_leaves_what_follows_to_others():
    suspected = suspect(1)
    with running_engine(echo(), quarantine=True):
        until(lambda: step_rows(suspected) == [("a", 1, "COMPLETED"), ("b", 1, "PENDING")])
    with running_engine(echo()):
        assert ended(suspected).status == "COMPLETED"


@pytest.mark.parametrize(("quarantine", "claimed"), [(False, [0]), (True, [1, 2, 5])])
def test_engines_divide_rows_by_whether_a_worker_died(quarantine, claimed):
    for deaths in (0, 1, 2, 5):
        suspect(deaths, name=f"w{deaths}")
    Store(owner="w", lease_seconds=30, quarantine=quarantine).commit(Batch(look=True, room=9))
    running = WorkflowStep.objects.filter(status=StepStatus.RUNNING).order_by("deaths")
    assert list(running.values_list("deaths", flat=True)) == claimed


def test_row_with_the_fewest_deaths_is_the_first_suspect():
    for deaths in (2, 1):
        suspect(deaths, name=f"w{deaths}")
    Store(owner="w", lease_seconds=30, quarantine=True).commit(Batch(look=True, room=1))
    assert WorkflowStep.objects.get(status=StepStatus.RUNNING).deaths == 1


def test_next_suspect_begins_once_the_one_before_has_done_no_harm_for_a_while(monkeypatch):
    monkeypatch.setattr(worker, "HARMLESS_SECONDS", 3600)
    for name in ("first", "second"):
        suspect(1, name=name)
    client = echo()
    client.held.add("a")
    with running_engine(client, quarantine=True) as running:
        until(lambda: client.calls)
        running.look()
        assert (running.in_flight, len(client.calls)) == (1, 1)
        monkeypatch.setattr(worker, "HARMLESS_SECONDS", 0)
        running.look()
        until(lambda: len(client.calls) == 2)
        client.gate.set()


def test_row_that_waits_after_its_holder_died_is_under_no_suspicion():
    execution = start(make_workflow([{"id": "e", "type": "EVENT", "event": "go"}]))
    execution.steps.update(deaths=1, fence=2)
    with running_engine(echo(), quarantine=True):
        until(lambda: execution.steps.filter(status="WAITING").exists())
    assert execution.steps.get().deaths == 0


def test_only_suspects_that_are_due_ask_for_a_process():
    suspect(2, name="later").steps.update(wake_at=timezone.now() + timedelta(hours=1))
    suspect(2, name="paused").steps.update(wake_at=None)
    assert not has_due_quarantined()
    suspect(1)
    assert has_due_quarantined()


def test_worker_that_starts_gives_back_at_once_what_a_dead_one_held():
    execution = start(make_workflow([call("a")]))
    hold_by(name_of_an_ended_process())
    execution.steps.update(lease_until=timezone.now() - timedelta(seconds=60))
    tasks.sweep_at_once()
    assert list(execution.steps.values_list("status", "deaths")) == [("PENDING", 1)]


def test_first_look_without_a_database_is_left_to_the_next_sweep(monkeypatch, caplog):
    def refuse():
        raise OperationalError("no database")

    monkeypatch.setattr(tasks, "sweep", refuse)
    tasks.sweep_at_once()
    assert "first_sweep_failed" in caplog.text
