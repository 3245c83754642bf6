"""Executions that are started together: each is accepted, or fails, as it would alone."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from core.audit import Actor, acting
from core.mediator import mediator
from core.models import ApiKey, AuditEntry
from core.models.audit import ActorKind
from tests.support.engine import call, make_workflow
from tests.support.waiting import PATIENCE
from workflows import services
from workflows.execution_rows import workflow_to_start
from workflows.models import WorkflowExecution, WorkflowStatus
from workflows.services import Start, Started, start_many
from workflows.services.executions import start as start_module

pytestmark = pytest.mark.django_db(transaction=True)


def wanted(**more: Any) -> Start:
    return Start(**{"input": {"n": 1}, "context": {}, "actor": "me"} | more)


def ways(answers: list[Started | Exception]) -> list[str]:
    return [
        type(answer).__name__
        if isinstance(answer, Exception)
        else ("created" if answer.created else "known")
        for answer in answers
    ]


def test_started_together_are_as_if_started_alone():
    workflow, other = make_workflow([call("a")]), make_workflow([call("b")], name="w2", timeout=60)
    starts = [
        (workflow, wanted(input={"long": "x" * 5000, "é": [1.5, None, {"": "\U0001f600"}]})),
        (other, wanted(priority=7, context={"correlation_id": "c"}, noted={"request_id": "r"})),
        (workflow, wanted(idempotency_key="k", actor="x" * 150)),
    ]
    together = start_many(starts)
    alone = [
        services.start_execution(w, s)
        for w, s in [*starts[:2], (workflow, wanted(idempotency_key="k2", actor="x" * 150))]
    ]
    for one, two in zip(together, alone, strict=True):
        assert isinstance(one, Started)
        assert (one.created, one.first.path, one.first.status) == (True, two.first.path, "PENDING")
        first, second = (WorkflowExecution.objects.get(pk=x.execution.pk) for x in (one, two))
        same = (
            "workflow_id", "version_id", "workflow_name", "type", "status", "input", "context",
            "correlation_id", "started_by", "priority", "last_sequence", "errors", "output",
        )  # fmt: skip
        assert [getattr(first, n) for n in same] == [getattr(second, n) for n in same]
        assert (first.deadline_at is None) == (second.deadline_at is None)
        for field in WorkflowExecution._meta.concrete_fields:
            assert getattr(one.execution, field.attname) == getattr(first, field.attname), field
        events = [list(x.events.values_list("sequence", "kind", "actor")) for x in (first, second)]
        assert events[0] == events[1]
        assert one.first.pk == first.steps.get().pk


def test_each_bad_start_fails_alone_with_its_own_error():
    workflow, idle = make_workflow([call("a")]), make_workflow([call("a")], name="idle")
    idle.status = WorkflowStatus.INACTIVE
    gone = make_workflow([call("a")], name="gone")
    deleted = workflow_to_start("gone")
    gone.delete()
    services.start_execution(workflow, wanted(idempotency_key="used"))
    answers = start_many(
        [
            (workflow, wanted()),
            (idle, wanted()),
            (workflow, wanted(version=9)),
            (workflow, wanted(idempotency_key="used")),
            (workflow, wanted(idempotency_key="used", input={"n": 2})),
            (workflow, wanted(idempotency_key="twice")),
            (workflow, wanted(idempotency_key="twice")),
            (workflow, wanted(idempotency_key="other")),
            (deleted, wanted()),
            (workflow, wanted()),
        ]
    )
    assert ways(answers) == [
        "created", "Conflict", "ValidationFailed", "known", "Conflict",
        "created", "known", "created", "Conflict", "created",
    ]  # fmt: skip
    assert "deleted meanwhile" in str(answers[8])
    assert "another input" in str(answers[4])
    assert answers[5].execution.pk == answers[6].execution.pk
    assert WorkflowExecution.objects.count() == 5


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite takes any text")
def test_what_the_database_does_not_take_fails_alone():
    workflow = make_workflow([call("a")])
    good, bad = wanted(), wanted(input={"n": "\x00"})
    answers = start_many([(workflow, good), (workflow, bad), (workflow, good)])
    assert ways(answers) == ["created", "DataError", "created"]


def test_limited_ones_wait_for_a_slot_beside_others():
    limited = make_workflow([call("a")], name="limited", concurrency=1)
    free = make_workflow([call("a")], name="free")
    answers = start_many([(limited, wanted()), (free, wanted()), (limited, wanted())])
    queued = [answer.execution.is_queued for answer in answers if isinstance(answer, Started)]
    assert queued == [False, False, True]


def test_workers_are_told_once_of_all():
    workflow = make_workflow([call("a")])
    with mediator.recording("steps_ready") as told:
        answers = start_many([(workflow, wanted()) for _ in range(3)])
    ids = [str(answer.first.pk) for answer in answers if isinstance(answer, Started)]
    assert told == [{"step_ids": ids}]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="one statement on PostgreSQL")
@pytest.mark.parametrize("number", [1, 32])
def test_a_batch_is_one_statement(number):
    workflow = make_workflow([call("a")])
    services.start_execution(workflow_to_start("w"), wanted())  # asks for the database's time too
    with CaptureQueriesContext(connection) as queries:
        start_many([(workflow, wanted()) for _ in range(number)])
    assert [query["sql"][:8] for query in queries] == ["WITH i0 "]
    assert WorkflowExecution.objects.count() == number + 1


def test_a_person_is_recorded_for_each():
    workflow = make_workflow([call("a")])
    with acting(Actor(kind=ActorKind.USER, name="ann")):
        start_many([(workflow, wanted()), (workflow, wanted())])
    assert AuditEntry.objects.filter(verb="STARTED", actor="ann").count() == 2
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("error", [OperationalError("gone"), DatabaseError("odd")])
def test_an_outage_is_told_to_all_and_nothing_is_tried_again(error, monkeypatch):
    workflow, stored = make_workflow([call("a")]), []

    def fail(executions: Any) -> None:
        stored.append(len(executions))
        raise error

    monkeypatch.setattr(start_module, "insert_executions", fail)
    answers = start_many([(workflow, wanted()), (workflow, wanted())])
    assert ways(answers) == [type(error).__name__] * 2
    # Whether an outage came before the commit or after it is not known.
    assert stored == ([2] if isinstance(error, OperationalError) else [2, 1, 1])


def in_threads(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_same_keys_in_batches_of_many_threads_make_one_execution_each():
    workflow, answers = make_workflow([call("a")]), []

    def work(number: int) -> None:
        keys = range(number, number + 4)
        starts = [(workflow, wanted(idempotency_key=f"k{key}")) for key in keys]
        answers.extend(start_many(starts))
        connection.close()

    in_threads(8, work)
    assert len(answers) == 32
    started = [answer for answer in answers if isinstance(answer, Started)]
    assert len(started) == 32, answers
    assert len({answer.execution.pk for answer in started}) == 11
    assert sum(answer.created for answer in started) == 11
