"""The database keeps the history of executions as it was written."""

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from tests import factories
from workflows import services
from workflows.history.append_only import deletable_history
from workflows.models import WorkflowEvent, WorkflowExecution


def run_sql(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE workflow_event SET actor = 'nobody'",
        "UPDATE workflow_event SET sequence = sequence + 1",
        "DELETE FROM workflow_event",
    ],
)
def test_the_database_refuses_to_change_or_delete_events(statement):
    factories.make_execution()
    with pytest.raises(IntegrityError, match="append-only"):
        run_sql(statement)
    assert WorkflowEvent.objects.get().actor == ""


@pytest.mark.django_db
def test_an_execution_cannot_be_deleted_on_the_side():
    execution = factories.make_execution()
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        execution.delete()
    assert WorkflowExecution.objects.count() == 1


@pytest.mark.django_db
def test_events_may_be_deleted_only_while_the_history_is_opened_for_it():
    factories.make_execution()
    with deletable_history():
        with pytest.raises(IntegrityError, match="append-only"):
            run_sql("UPDATE workflow_event SET actor = 'nobody'")
        run_sql("DELETE FROM workflow_event")
    factories.make_execution()
    with pytest.raises(IntegrityError, match="append-only"):
        run_sql("DELETE FROM workflow_event")


@pytest.mark.django_db
def test_a_failure_while_it_is_open_closes_the_history_again():
    factories.make_execution()
    with pytest.raises(RuntimeError), deletable_history():
        WorkflowEvent.objects.all().delete()
        raise RuntimeError
    assert WorkflowEvent.objects.count() == 1
    with pytest.raises(IntegrityError, match="append-only"):
        run_sql("DELETE FROM workflow_event")


@pytest.mark.django_db
def test_the_history_of_a_controlled_execution_has_no_gaps():
    execution = services.start_execution(
        factories.make_workflow(), services.Start(input={}, context={})
    ).execution
    for act in (
        services.pause_execution,
        services.resume_execution,
        services.cancel_execution,
        services.retry_execution,
        services.cancel_execution,
    ):
        act(execution.pk, actor="ann")
    services_refused = pytest.raises(Exception, match="CANCELLED")
    with services_refused:
        services.pause_execution(execution.pk)
    numbers = list(execution.events.order_by("sequence").values_list("sequence", flat=True))
    assert numbers == list(range(1, 7))
    execution.refresh_from_db()
    assert execution.last_sequence == 6


@pytest.mark.django_db(transaction=True)
def test_flushing_a_database_empties_the_history_and_keeps_the_guard():
    factories.make_execution()
    call_command("flush", interactive=False, verbosity=0)
    assert not WorkflowEvent.objects.exists()
    factories.make_execution()
    with pytest.raises(IntegrityError, match="append-only"):
        run_sql("DELETE FROM workflow_event")


@pytest.mark.django_db(transaction=True)
def test_the_guard_outlives_a_table_that_is_built_anew():
    field = WorkflowEvent._meta.get_field("actor")
    with connection.schema_editor() as editor:
        editor.alter_field(WorkflowEvent, field, field, strict=True)
        if connection.vendor == "sqlite":
            editor._remake_table(WorkflowEvent)
    call_command("migrate", verbosity=0, interactive=False)
    factories.make_execution()
    with pytest.raises(IntegrityError, match="append-only"):
        run_sql("DELETE FROM workflow_event")


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_guard_can_be_taken_back_and_set_again():
    factories.make_execution()
    call_command("migrate", "workflows", "0006", verbosity=0, interactive=False)
    try:
        run_sql("DELETE FROM workflow_event")
    finally:
        call_command("migrate", verbosity=0, interactive=False)
    factories.make_execution()
    with pytest.raises(IntegrityError, match="append-only"):
        run_sql("DELETE FROM workflow_event")
