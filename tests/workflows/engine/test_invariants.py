"""What the checker of invariants finds, in spoiled rows and after runs of spoiled code."""

import contextlib
import json
from datetime import timedelta
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from registry.exceptions import ServiceUnavailableError
from tests.support.engine import (
    ScriptedClient,
    call,
    ended,
    make_workflow,
    running_engine,
    start,
)
from tests.support.mutations import mutated
from tests.support.waiting import until
from workflows import invariants, services
from workflows.decide import outcomes
from workflows.definition import RetryPolicy
from workflows.engine import lease_recovery, step_call
from workflows.engine.lease_recovery import recover_expired
from workflows.engine.store import recorder, transition_sql
from workflows.history.append_only import guard_history, unguard_history
from workflows.models import WorkflowExecution
from workflows.services.executions import control
from workflows.services.executions import start as start_executions

pytestmark = pytest.mark.django_db(transaction=True)

PAST = timedelta(minutes=5)
FORK = {
    "id": "fork",
    "type": "PARALLEL",
    "join": "ANY",
    "branches": [[call("a")], [call("b")]],
    "next": None,
}


def echo() -> ScriptedClient:
    return ScriptedClient(a=lambda d: {"n": 1}, b=lambda d: {"n": 2})


def found(**options):
    return [(v.invariant, v.found) for v in invariants.check_executions(**options)]


def broken() -> set[str]:
    return {invariant for invariant, _ in found()}


@pytest.fixture
def done(db):
    """An execution of two steps that ended well."""
    execution = start(make_workflow([call("a", next="b"), call("b")]))
    with running_engine(echo()):
        yield ended(execution)


@pytest.fixture
def waiting(db):
    """An execution that waits for a signal."""
    execution = start(make_workflow([{"id": "e", "type": "EVENT", "event": "go"}], name="waits"))
    with running_engine(echo()):
        until(lambda: execution.steps.filter(status="WAITING").exists())
    return execution


def test_healthy_executions_break_nothing(done, waiting):
    failing = ScriptedClient(a=lambda d: {}, b=lambda d: 1 / 0)
    fork = start(make_workflow([FORK], name="fork"))
    failed = start(make_workflow([call("b")], name="fails"))
    paused = start(make_workflow([call("a")], name="paused"))
    services.pause_execution(paused.pk)
    with running_engine(failing) as running:
        ended(fork)
        ended(failed)
        services.retry_execution(failed.pk)
        running.look()
        until(lambda: failed.events.filter(kind="FAILED").count() == 2)
    services.cancel_execution(waiting.pk)
    assert found() == []


# Rows that were spoiled


def test_second_completed_attempt_is_seen(done):
    step = done.steps.get(path="a")
    step.pk, step.attempt = None, 2
    step.save(force_insert=True)
    assert "I1" in broken()


def test_execution_that_nothing_will_find_is_seen(done):
    done.steps.filter(path="b").delete()
    WorkflowExecution.objects.update(status="RUNNING", completed_at=None)
    assert ("I2", "it is RUNNING, and no row has a lease, a due time or an open wait.") in found()


def test_row_without_a_due_time_is_seen(waiting):
    waiting.steps.update(status="PENDING", wake_at=None)
    assert "I2" in broken()


def test_lease_that_no_sweep_gave_back_is_seen(waiting):
    past = timezone.now() - PAST
    waiting.steps.update(status="RUNNING", lease_owner="w", lease_until=past, fence=1)
    assert broken() == {"I2"}


@contextlib.contextmanager
def unguarded_history():
    unguard_history(connection)
    try:
        yield
    finally:
        guard_history(connection)


def test_missing_event_is_seen(done):
    with unguarded_history():
        done.events.filter(sequence=1).delete()
    assert "I3" in broken()


def test_changed_event_is_seen(done):
    with unguarded_history():
        done.events.filter(sequence=2).update(updated_at=timezone.now() + PAST)
    assert found() == [("I3", "it was changed later.")]


def test_end_without_an_event_is_seen(waiting):
    waiting.steps.all().update(status="COMPLETED", completed_at=timezone.now())
    WorkflowExecution.objects.update(status="COMPLETED", completed_at=timezone.now() + PAST)
    assert found() == [("I4", "it is COMPLETED, and its history does not say so.")]


def test_open_row_of_an_ended_execution_is_seen(done):
    done.steps.filter(path="b").update(status="PENDING", wake_at=timezone.now())
    assert "I4" in broken()


def test_deadline_that_passed_is_seen(waiting):
    WorkflowExecution.objects.update(deadline_at=timezone.now() - PAST)
    assert broken() == {"I4"}


def test_execution_that_was_acknowledged_and_is_gone_is_seen(done):
    gone = "00000000-0000-7000-8000-000000000000"
    missing = list(invariants.missing_executions([done.pk, gone]))
    assert [(v.invariant, v.execution) for v in missing] == [("I4", gone)]


def test_path_of_another_step_is_seen(done):
    done.steps.filter(path="b").update(path="elsewhere")
    assert broken() == {"I5"}


def test_lease_on_a_settled_row_is_seen(done):
    done.steps.filter(path="b").update(lease_owner="w")
    assert broken() == {"I6"}


def test_attempt_above_the_maximum_is_seen(done):
    step = done.steps.get(path="a")
    done.steps.filter(path="a").update(status="FAILED")
    for attempt in range(2, 7):
        step.pk, step.attempt, step.status = None, attempt, "FAILED"
        step.save(force_insert=True)
    assert broken() == {"I7"}


@pytest.mark.parametrize("spelling", ['xk-7 "quoted"', "xk-7/plain"])
def test_secret_in_a_row_is_seen_in_any_spelling(done, spelling):
    done.steps.filter(path="a").update(output={"deep": [spelling]})
    places = [v.place for v in invariants.check_secrets({"canary 1": spelling})]
    assert places == [f"workflow_step {done.steps.get(path='a').pk}"]


def test_secret_in_a_log_is_seen(db, tmp_path):
    log = tmp_path / "hub.log"
    log.write_text("fine\nAuthorization: Basic eGstNy1zZWNyZXQtdmFsdWU=\n")
    seen = list(invariants.check_secrets({"canary 1": "xk-7-secret-value"}, logs=[log]))
    assert [v.place for v in seen] == [f"the file {log}"]


# Code that was spoiled


FENCE = " AND workflow_step.fence = v.fence"
ON_POSTGRES = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="PostgreSQL only goes the short way"
)


@pytest.mark.parametrize(
    "steps",
    [
        [call("a")],
        pytest.param([call("a", next="b"), call("b")], marks=ON_POSTGRES),
    ],
    ids=["end", "middle"],
)
def test_dropping_the_fence_check_is_seen(steps):
    execution = start(make_workflow(steps))
    slow, quick = echo(), echo()
    slow.held.add("a")
    quick.held.add("a")
    with (
        mutated(transition_sql, "settle", FENCE, ""),
        running_engine(slow) as stale,
        running_engine(quick, quarantine=True) as holder,
    ):
        until(lambda: slow.calls)
        execution.steps.update(lease_until=timezone.now() - PAST)
        recover_expired()
        holder.look()
        until(lambda: quick.calls)
        slow.gate.set()
        until(lambda: WorkflowExecution.objects.filter(status="COMPLETED").exists())
        quick.gate.set()
        assert stale.owner != holder.owner
    assert "I6" in broken()


def test_gap_in_the_numbers_of_events_is_seen():
    execution = start(make_workflow([call("a")]))
    with (
        mutated(recorder.Recorder, "_finish", "sequence + 1", "sequence + 2"),
        mutated(transition_sql, "transition_in_one", "last_sequence + 1", "last_sequence + 2"),
        running_engine(echo()),
    ):
        ended(execution)
    assert "I3" in broken()


def test_one_attempt_too_many_is_seen():
    def fail(_):
        raise ServiceUnavailableError("down")

    retry = {"max_attempts": 2, "base_delay": 0.01}
    execution = start(make_workflow([call("a", retry=retry)]))
    with (
        mutated(RetryPolicy, "allows", "attempt >= self", "attempt > self"),
        running_engine(ScriptedClient(a=fail)) as running,
    ):
        until(lambda: running.look() or execution.steps.filter(attempt=3).exists())
    assert "I7" in broken()


def test_attempt_that_is_left_out_is_seen():
    answers = iter([ServiceUnavailableError("down")])

    def answer(_):
        for error in answers:
            raise error
        return {}

    execution = start(make_workflow([call("a", retry={"max_attempts": 9, "base_delay": 0.01})]))
    with (
        mutated(outcomes, "next_attempt", "attempt=row.attempt + 1", "attempt=row.attempt + 2"),
        running_engine(ScriptedClient(a=answer)) as running,
    ):
        until(lambda: running.look() or execution.steps.filter(attempt=3).exists())
    assert "I7" in broken()


def test_key_that_depends_on_the_attempt_is_seen():
    """Which only receivers can see."""
    answers = iter([ServiceUnavailableError("down")])

    def answer(_):
        for error in answers:
            raise error
        return {}

    client = ScriptedClient(a=answer)
    execution = start(make_workflow([call("a", retry={"max_attempts": 9, "base_delay": 0.01})]))
    with (
        mutated(
            step_call, "headers_of", "{run.id}:{row.path}", "{run.id}:{row.path}:{row.attempt}"
        ),
        running_engine(client) as running,
    ):
        until(lambda: running.look() or len(client.calls) == 2)
        ended(execution)
    receipts = [
        {"execution_id": str(execution.pk), "path": action, "idempotency_key": h["Idempotency-Key"]}
        for action, _, h in client.calls
    ]
    assert [v.invariant for v in invariants.check_receipts(receipts)] == ["I5"]


def test_answering_before_the_commit_is_seen():
    workflow, acknowledged = make_workflow([call("a")]), []
    with pytest.raises(RuntimeError), transaction.atomic():
        acknowledged.append(str(start(workflow).pk))
        raise RuntimeError("the database goes away")
    assert [v.invariant for v in invariants.missing_executions(acknowledged)] == ["I4"]


def test_start_without_a_first_row_is_seen():
    with mutated(
        start_executions,
        "insert_executions",
        "        *(new.first for new in executions),\n",
        "",
    ):
        start(make_workflow([call("a")]))
    assert broken() == {"I2"}


def test_giving_back_without_a_due_time_is_seen():
    execution = start(make_workflow([call("a")]))
    past = timezone.now() - PAST
    WorkflowExecution.objects.update(status="RUNNING")
    execution.steps.update(status="RUNNING", lease_owner="w", lease_until=past, fence=1)
    with mutated(lease_recovery, "_free", "wake_at=now,", "wake_at=None,"):
        recover_expired()
    assert broken() == {"I2"}


def test_giving_a_step_out_after_three_deaths_is_seen():
    execution = start(make_workflow([call("a")]))
    past = timezone.now() - PAST
    WorkflowExecution.objects.update(status="RUNNING")
    with mutated(lease_recovery, "_reason_for_review", ">= MAX_DEATHS", "> MAX_DEATHS + 1"):
        for _ in range(4):
            execution.steps.update(
                status="RUNNING", lease_owner="w", lease_until=past, fence=F("fence") + 1
            )
            recover_expired()
    assert broken() == {"I7"}


def test_container_that_nobody_wakes_is_seen():
    execution = start(make_workflow([FORK]))
    with (
        mutated(recorder.Recorder, "_leave_branches", "has_ended(container)", "False"),
        running_engine(echo()),
    ):
        until(lambda: execution.steps.filter(status="COMPLETED").count() == 2)
    assert broken() == {"I2"}


def test_cancelling_without_stopping_the_steps_is_seen(waiting):
    with mutated(control, "stop_execution", "stop_steps(execution, now=now)", "pass"):
        control.cancel_execution(waiting.pk)
    assert broken() == {"I4"}


def test_branches_that_outlive_their_container_are_seen():
    client = echo()
    client.held.add("b")
    execution = start(make_workflow([FORK]))
    abandon = "self._abandon(s for s in kept if s.transition.abandons)"
    with mutated(recorder.Recorder, "record", abandon, "pass"), running_engine(client):
        ended(execution)
        assert "I4" in broken()
        client.gate.set()


def test_settling_without_giving_up_the_lease_is_seen():
    execution = start(make_workflow([call("a")]))
    lease = "lease_owner = '', lease_until = NULL,"
    with mutated(transition_sql, "settle", lease, ""), running_engine(echo()):
        ended(execution)
    assert broken() == {"I6"}


# The command


def run_command(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("check_invariants", *arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_command_says_that_all_is_well(done):
    assert run_command() == (0, "1 executions checked, 0 violations.\n")


def test_command_tells_each_violation_and_what_it_means(done):
    with unguarded_history():
        done.events.filter(sequence=1).delete()
    code, text = run_command("--since", "1h")
    assert code == 1
    assert f"I3 {done.pk}" in text
    assert "The history is not whole." in text


def test_command_tells_programs_in_json(done):
    done.steps.filter(path="b").update(lease_owner="w")
    code, text = run_command("--json")
    first, last = (json.loads(line) for line in text.splitlines())
    assert code == 1
    assert (first["invariant"], first["execution"]) == ("I6", str(done.pk))
    assert last == {"executions": 1, "violations": 1}


def test_command_finds_a_canary_and_does_not_repeat_it(done):
    done.steps.filter(path="b").update(error={"message": "key was xk-12345"})
    code, text = run_command("--canary", "xk-12345")
    assert code == 1
    assert "canary 1 can be read in this row" in text
    assert "xk-12345" not in text


def test_command_knows_the_secret_key(done):
    done.steps.filter(path="b").update(error={"message": settings.SECRET_KEY})
    assert run_command()[0] == 1


def test_command_refuses_a_time_that_is_none(db):
    with pytest.raises(CommandError, match="30m, 2h, 7d"):
        run_command("--since", "yesterday")


def test_cost_does_not_depend_on_the_number_of_executions_in_a_page(done):
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert found() == []
        return len(captured)

    before = queries()
    workflow = make_workflow([call("a")], name="more")
    more = [start(workflow) for _ in range(10)]
    with running_engine(echo()):
        for execution in more:
            ended(execution)
    assert queries() == before
