"""What goes when it is old enough, and what must stay."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import factories
from workflows.models import (
    PurgeRun,
    RetentionClass,
    WorkflowEvent,
    WorkflowExecution,
    WorkflowStep,
)
from workflows.services.retention import purge
from workflows.services.retention.policy import Policy
from workflows.services.retention.purge import due_by_class, purge_executions

POLICY = Policy(days={"SHORT": 7, "STANDARD": 30, "LONG": 365}, default="FOREVER", failed_days=30)


def test_a_class_says_what_may_go():
    now = datetime(2026, 3, 1, tzinfo=UTC)
    short = POLICY.limits("SHORT", now=now)
    assert short.ended_before == now - timedelta(days=7)
    assert short.failed_before == now - timedelta(days=30)
    long = POLICY.limits("LONG", now=now)
    assert long.failed_before == long.ended_before == now - timedelta(days=365)
    assert POLICY.limits("FOREVER", now=now) is None


def test_a_workflow_without_a_class_goes_by_the_default():
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert POLICY.limits("DEFAULT", now=now) is None
    policy = Policy(days=POLICY.days, default="STANDARD", failed_days=1)
    assert policy.limits("DEFAULT", now=now) == policy.limits("STANDARD", now=now)


@pytest.fixture
def short():
    return factories.make_workflow("short", retention=RetentionClass.SHORT)


def make_ended(workflow, *, days: float = 10, status: str = "COMPLETED", **fields):
    ended = timezone.now() - timedelta(days=days) if status != "RUNNING" else None
    return factories.make_execution(workflow, status=status, completed_at=ended, **fields)


def kept() -> set:
    return set(WorkflowExecution.objects.values_list("pk", flat=True))


@pytest.mark.django_db
def test_only_ended_executions_older_than_their_class_go(short):
    stay = {
        make_ended(short, days=6).pk,
        make_ended(short, days=20, status="FAILED").pk,
        make_ended(short, days=900, status="NEEDS_REVIEW").pk,
        make_ended(short, status="RUNNING").pk,
        make_ended(factories.make_workflow(retention="LONG"), days=300).pk,
        make_ended(factories.make_workflow(retention="FOREVER"), days=9000).pk,
        make_ended(factories.make_workflow(), days=9000).pk,
        make_ended(None, days=9000).pk,
    }
    for status in ("COMPLETED", "CANCELLED"):
        make_ended(short, days=8, status=status)
    make_ended(short, days=31, status="FAILED")
    purged = purge_executions(policy=POLICY, actor="ann")
    assert (purged.executions, purged.steps, dict(purged.by_class)) == (3, 3, {"SHORT": 3})
    assert kept() == stay
    assert set(WorkflowStep.objects.values_list("execution_id", flat=True)) == stay
    assert set(WorkflowEvent.objects.values_list("execution_id", flat=True)) == stay
    run = PurgeRun.objects.get()
    assert (run.executions, run.steps, run.actor) == (3, 3, "ann")


@pytest.mark.django_db
def test_nothing_is_deleted_unless_a_class_was_chosen():
    make_ended(factories.make_workflow(), days=9000)
    assert purge_executions().executions == 0
    assert not PurgeRun.objects.exists()


@pytest.mark.django_db
def test_executions_of_deleted_workflows_go_by_the_default(short):
    gone = make_ended(short)
    WorkflowExecution.objects.update(workflow=None)
    assert purge_executions(policy=POLICY).executions == 0
    policy = Policy(days=POLICY.days, default="SHORT", failed_days=1)
    assert [d.executions for d in due_by_class(policy)] == [1, 0, 0, 0]
    assert purge_executions(policy=policy).executions == 1
    assert gone.pk not in kept()


def make_child(parent, workflow, **fields):
    return make_ended(workflow, parent_step=parent.steps.get(), **fields)


@pytest.mark.django_db
def test_children_go_with_their_parents_and_not_before(short):
    forever = factories.make_workflow(retention="FOREVER")
    root = make_ended(short)
    make_child(make_child(root, forever), forever, days=1)
    old_child = make_child(make_ended(forever), short, days=100)
    assert purge_executions(policy=POLICY).executions == 3
    assert len(kept()) == 2
    assert old_child.pk in kept()


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["RUNNING", "NEEDS_REVIEW", "PAUSED"])
def test_a_tree_in_which_something_is_open_stays_whole(short, status):
    root = make_ended(short)
    child = make_child(root, short)
    make_child(child, short, status=status)
    other = make_ended(short)
    assert purge_executions(policy=POLICY).executions == 1
    assert len(kept()) == 3
    assert other.pk not in kept()


@pytest.mark.django_db
def test_batches_are_bounded_and_everything_goes_in_the_end(short, monkeypatch):
    monkeypatch.setattr(purge, "BATCH_EXECUTIONS", 4)
    for _ in range(10):
        make_ended(short)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert purge_executions(policy=POLICY).executions == 10
    deleted = [q["sql"] for q in queries if q["sql"].startswith('DELETE FROM "workflow_execution"')]
    assert len(deleted) == 3
    assert kept() == set()


@pytest.mark.django_db
def test_large_executions_share_a_transaction_with_few(short, monkeypatch):
    monkeypatch.setattr(purge, "BATCH_STEPS", 5)
    for _ in range(3):
        execution = make_ended(short)
        WorkflowStep.objects.bulk_create(
            WorkflowStep(execution=execution, step_id="s", path=f"s#{n}") for n in range(3)
        )
    with CaptureQueriesContext(connection) as queries:
        assert purge_executions(policy=POLICY).steps == 12
    deleted = [q["sql"] for q in queries if q["sql"].startswith('DELETE FROM "workflow_execution"')]
    assert len(deleted) == 3


@pytest.mark.django_db
def test_a_batch_of_many_costs_about_as_many_statements_as_one_of_few(short):
    def statements(executions: int) -> int:
        for _ in range(executions):
            make_ended(short)
        with CaptureQueriesContext(connection) as queries:
            assert purge_executions(policy=POLICY).executions == executions
        return len(queries)

    few, many = statements(2), statements(80)
    assert many <= few + 10


@pytest.mark.django_db
def test_the_time_of_a_purge_is_bounded(short, monkeypatch):
    monkeypatch.setattr(purge, "BATCH_EXECUTIONS", 2)
    for _ in range(10):
        make_ended(short)
    ticks = iter(range(100))
    purged = purge_executions(policy=POLICY, seconds=3, clock=lambda: float(next(ticks)))
    assert not purged.is_finished
    assert 0 < purged.executions < 10


@pytest.mark.django_db
def test_the_command_says_what_would_go_and_then_does_it(short, settings):
    make_ended(short)
    out = StringIO()
    call_command("purge_executions", "--dry-run", stdout=out)
    assert "SHORT     1 workflows, deleted after 7 days: 1 executions would go" in out.getvalue()
    assert "FOREVER" in out.getvalue()
    assert len(kept()) == 1
    out = StringIO()
    call_command("purge_executions", stdout=out)
    assert out.getvalue() == "1 executions with 1 steps deleted.\n"
    assert kept() == set()


@pytest.mark.django_db
def test_due_counts_cost_the_same_for_any_number_of_workflows(short):
    with CaptureQueriesContext(connection) as one:
        due_by_class(POLICY)
    for _ in range(5):
        factories.make_workflow(retention="SHORT")
    with CaptureQueriesContext(connection) as six:
        due_by_class(POLICY)
    assert len(one) == len(six)
