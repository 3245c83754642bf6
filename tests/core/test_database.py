"""Statements sent together are one transaction still, and rows are inserted as `save` would."""

import contextlib
import threading

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from core.db.pipeline import pipelined_transaction
from core.db.rows import insert_rows, read_row, read_rows
from core.models import ApiKey
from registry.models import Service
from tests.factories import make_key, make_workflow
from tests.support.waiting import PATIENCE
from workflows import services
from workflows.models import Workflow, WorkflowExecution


def make_execution(**fields):
    workflow = make_workflow()
    values = {"workflow": workflow, "version": workflow.current_version, "workflow_name": "w"}
    return WorkflowExecution(**values | fields)


@pytest.mark.django_db
def test_inserted_row_reads_as_a_saved_one():
    made = make_execution(input={"a": [1, None]}, errors=["x"], output=None, idempotency_key="k")
    insert_rows(made)
    read = WorkflowExecution.objects.get(pk=made.pk)
    for field in WorkflowExecution._meta.concrete_fields:
        assert getattr(read, field.attname) == getattr(made, field.attname), field.name
    read.workflow_name = "changed"
    read.save()
    made.refresh_from_db()
    assert made.workflow_name == "changed"


@pytest.mark.django_db
def test_rows_inserted_together_read_as_saved_ones():
    one, two = make_execution(priority=7, started_by="x"), make_execution(input={"a": ""})
    insert_rows(one, two)
    for made in (one, two):
        read = WorkflowExecution.objects.get(pk=made.pk)
        for field in WorkflowExecution._meta.concrete_fields:
            assert getattr(read, field.attname) == getattr(made, field.attname), field.name


@pytest.mark.django_db
def test_rows_are_read_as_the_orm_reads_them():
    execution = make_execution(input={"a": [1, None]}, errors=["x"], idempotency_key="k")
    insert_rows(execution)
    key, _ = make_key(networks=["10.0.0.0/8"])
    for made in (execution, execution.workflow, key):
        model = type(made)
        ordered = f"WHERE {model._meta.pk.column} IS NOT NULL ORDER BY id DESC LIMIT %s"
        (read,) = read_rows(model, ordered, [1])
        expected = model.objects.get(pk=made.pk)
        for field in model._meta.concrete_fields:
            assert getattr(read, field.attname) == getattr(expected, field.attname), field.name
        assert (read._state.adding, read._state.db) == (False, "default")


@pytest.mark.django_db
def test_columns_left_out_are_read_once_asked_for(django_assert_num_queries):
    workflow = make_workflow("few", description="all of it")
    with django_assert_num_queries(1):
        read = read_row(Workflow, "WHERE name = %s", ["few"], only=("id", "name"))
        assert (read.pk, read.name) == (workflow.pk, "few")
    with django_assert_num_queries(1):
        assert read.description == "all of it"


@pytest.mark.django_db
def test_no_row_is_none():
    assert read_row(ApiKey, "WHERE prefix = %s", ["no"]) is None


@pytest.mark.skipif(connection.vendor != "postgresql", reason="one statement on PostgreSQL")
@pytest.mark.django_db(transaction=True)
def test_start_is_one_statement():
    workflow = make_workflow()
    start = services.Start(input={"a": 1}, context={})
    # The first one asks for the database's time too.
    services.start_execution(services.workflow_to_start(workflow.name), start)
    found = services.workflow_to_start(workflow.name)
    with CaptureQueriesContext(connection) as queries:
        services.start_execution(found, start)
    assert [query["sql"][:8] for query in queries] == ["WITH i0 "]


@pytest.mark.django_db(transaction=True)
def test_error_of_a_statement_that_was_not_waited_for_undoes_all():
    first = make_execution(idempotency_key="same")
    insert_rows(first)
    second = make_execution(workflow=first.workflow, idempotency_key="same")
    with pytest.raises(IntegrityError), pipelined_transaction():
        Service.objects.create(name="undone")
        insert_rows(second)
    assert not Service.objects.filter(name="undone").exists()
    assert WorkflowExecution.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("after", [0, 1, 3, 30])
@pytest.mark.parametrize("reads", [False, True])
def test_connection_is_of_use_after_an_error_at_any_place(after, reads):
    first = make_execution(idempotency_key="same")
    insert_rows(first)
    with pytest.raises(IntegrityError), pipelined_transaction():
        insert_rows(make_execution(workflow=first.workflow, idempotency_key="same"))
        for number in range(after):
            threading.Event().wait(0.002)  # its answer comes in between
            insert_rows(make_execution(workflow=first.workflow, idempotency_key=str(number)))
        if reads:
            WorkflowExecution.objects.count()
    assert WorkflowExecution.objects.count() == 1
    with pipelined_transaction():
        insert_rows(make_execution(workflow=first.workflow))
    assert WorkflowExecution.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_conflicts_of_many_threads_leave_every_connection_in_order(caplog):
    """Answers come in whenever they do: the error rises at the next statement or at the commit."""
    workflow, answered = make_workflow(), []

    def work(key):
        start = services.Start(input={}, context={}, idempotency_key=key)
        answered.append(services.start_execution(workflow, start).execution.pk)
        connection.close()

    for number in range(30):
        threads = [threading.Thread(target=work, args=(str(number),)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert len(answered) == 180
    assert len(set(answered)) == 30
    assert [r.getMessage() for r in caplog.records if r.name.startswith("psycopg")] == []


@pytest.mark.django_db(transaction=True)
def test_error_of_the_program_undoes_what_was_sent():
    with pytest.raises(ZeroDivisionError), pipelined_transaction():
        insert_rows(make_execution())
        raise ZeroDivisionError
    assert WorkflowExecution.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_what_runs_on_commit_finds_what_was_committed():
    seen = []
    with pipelined_transaction():
        made = make_execution()
        insert_rows(made)
        transaction.on_commit(lambda: seen.append(WorkflowExecution.objects.count()))
    assert seen == [1]


@pytest.mark.django_db(transaction=True)
def test_update_within_a_pipeline_knows_how_many_rows_it_met():
    made = make_execution()
    with pipelined_transaction():
        insert_rows(made)
        made.workflow_name = "changed"
        made.save(update_fields=["workflow_name"])
        assert WorkflowExecution.objects.filter(workflow_name="changed").update(type="CUSTOM") == 1
        assert WorkflowExecution.objects.filter(workflow_name="other").update(type="CUSTOM") == 0


@pytest.mark.django_db(transaction=True)
def test_an_error_that_was_caught_still_undoes_all():
    with pipelined_transaction():
        Service.objects.create(name="undone")
        with contextlib.suppress(ZeroDivisionError), transaction.atomic(savepoint=False):
            raise ZeroDivisionError
    assert not Service.objects.exists()
    with pipelined_transaction():
        Service.objects.create(name="kept")
    assert Service.objects.get().name == "kept"


@pytest.mark.django_db(transaction=True)
def test_nothing_runs_on_commit_of_what_was_undone():
    ran = []
    with pytest.raises(ZeroDivisionError), pipelined_transaction():
        transaction.on_commit(lambda: ran.append(1))
        raise ZeroDivisionError
    with pipelined_transaction():
        insert_rows(make_execution())
    assert ran == []


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_is_closed_within_is_opened_anew():
    with pytest.raises(DatabaseError), pipelined_transaction():
        Service.objects.create(name="undone")
        connection.close()
        Service.objects.create(name="never")
    assert not connection.in_atomic_block
    with pipelined_transaction():
        Service.objects.create(name="kept")
    assert [service.name for service in Service.objects.all()] == ["kept"]


@pytest.mark.django_db
def test_pipeline_within_a_transaction_leaves_it_alone():
    with transaction.atomic(), pipelined_transaction():
        insert_rows(make_execution())
        assert connection.in_atomic_block
    assert WorkflowExecution.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_start_answers_the_first_step_as_it_is_stored():
    workflow = make_workflow()
    started = services.start_execution(workflow, services.Start(input={}, context={}))
    assert started.first is not None
    stored = started.execution.steps.get()
    assert (started.first.pk, started.first.path, started.first.status) == (
        stored.pk, stored.path, stored.status
    )  # fmt: skip
