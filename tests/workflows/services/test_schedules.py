"""Schedules: their ticks, what overlaps, what people ask for."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from core.exceptions import Conflict, ValidationFailed
from tests import factories
from workflows import services
from workflows.models import WorkflowExecution, WorkflowSchedule, WorkflowScheduleRun
from workflows.services.retention.purge import purge_schedule_runs

pytestmark = pytest.mark.django_db
TICK = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def make_schedule(name="nightly", *, due=TICK, **fields):
    """A schedule of every hour whose next tick is as told."""
    workflow = fields.pop("workflow", None) or factories.make_workflow()
    made = services.create_schedule(
        {"name": name, "workflow": workflow, "cron": "0 * * * *", **fields}, actor="someone"
    )
    WorkflowSchedule.objects.filter(pk=made.pk).update(next_run_at=due)
    return services.get_schedule(name)


def sweep(now=TICK):
    return services.sweep_schedules(now=now + timedelta(seconds=1))


def outcomes(schedule):
    return list(schedule.runs.order_by("tick").values_list("outcome", flat=True))


def end_all():
    WorkflowExecution.objects.update(status="COMPLETED")


def test_a_tick_starts_one_execution_as_the_schedule():
    schedule = make_schedule(input={"a": 1}, context={"team": "x"}, priority=7)
    assert (sweep(), sweep()) == (1, 0)
    execution = WorkflowExecution.objects.get()
    assert (execution.input, execution.priority) == ({"a": 1}, 7)
    assert execution.started_by == "schedule:nightly"
    assert execution.context == {
        "team": "x", "schedule": "nightly", "scheduled_for": "2026-06-01T12:00:00+00:00"
    }  # fmt: skip
    run = schedule.runs.get()
    assert (run.tick, run.outcome, run.execution) == (TICK, "STARTED", execution)
    schedule.refresh_from_db()
    assert schedule.next_run_at == TICK + HOUR
    assert schedule.last_run_at == TICK + timedelta(seconds=1)


@pytest.mark.django_db(transaction=True)
def test_many_sweeps_at_once_start_one_execution_for_a_tick():
    for number in range(5):
        make_schedule(f"s{number}")

    def look(_):
        try:
            sweep()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(look, range(8)))
    assert WorkflowExecution.objects.count() == 5
    assert WorkflowScheduleRun.objects.filter(outcome="STARTED").count() == 5


def test_a_tick_is_skipped_while_the_one_before_runs():
    schedule = make_schedule(overlap_policy="skip")
    sweep()
    sweep(TICK + HOUR)
    end_all()
    sweep(TICK + 2 * HOUR)
    assert outcomes(schedule) == ["STARTED", "SKIPPED", "STARTED"]
    assert schedule.runs.get(outcome="SKIPPED").reason == "The execution before it still runs."


def test_a_queued_tick_starts_after_the_end_and_one_waits_at_most():
    schedule = make_schedule(overlap_policy="QUEUE")
    for hours in range(3):
        sweep(TICK + hours * HOUR)
    assert outcomes(schedule) == ["STARTED", "QUEUED", "SKIPPED"]
    end_all()
    sweep(TICK + 2 * HOUR)
    assert outcomes(schedule) == ["STARTED", "STARTED", "SKIPPED"]
    assert WorkflowExecution.objects.count() == 2


def test_a_tick_may_cancel_the_execution_before():
    schedule = make_schedule(overlap_policy="CANCEL_RUNNING")
    sweep()
    sweep(TICK + HOUR)
    assert outcomes(schedule) == ["STARTED", "CANCELLED_RUNNING"]
    first, second = WorkflowExecution.objects.order_by("id")
    assert (first.status, second.status) == ("CANCELLED", "PENDING")


def test_overlap_may_be_allowed():
    schedule = make_schedule(overlap_policy="ALLOW")
    sweep()
    sweep(TICK + HOUR)
    assert outcomes(schedule) == ["STARTED", "STARTED"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("NONE", ["SKIPPED"]),
        ("LAST", ["SKIPPED", "STARTED"]),
        ("ALL", ["STARTED", "PENDING", "PENDING"]),
    ],
)
def test_missed_ticks_are_caught_up_with_as_the_policy_says(policy, expected):
    schedule = make_schedule(catch_up_policy=policy)
    sweep(TICK + timedelta(hours=2, minutes=30))
    assert outcomes(schedule) == expected
    for _ in range(4):
        end_all()
        sweep(TICK + timedelta(hours=2, minutes=30))
    assert "PENDING" not in outcomes(schedule)
    assert WorkflowExecution.objects.count() == expected.count("STARTED") + expected.count(
        "PENDING"
    )


def test_a_tick_waits_for_the_backlog_run_that_goes_on_and_comes_before_the_rest():
    schedule = make_schedule(catch_up_policy="ALL")
    now = TICK + timedelta(hours=2, minutes=30)
    sweep(now)
    sweep(TICK + 3 * HOUR)
    assert outcomes(schedule) == ["STARTED", "PENDING", "PENDING", "QUEUED"]
    end_all()
    sweep(TICK + 3 * HOUR)
    assert outcomes(schedule) == ["STARTED", "PENDING", "PENDING", "STARTED"]


def test_a_workflow_that_is_not_active_is_recorded_and_stops_nothing():
    workflow = factories.make_workflow(status="INACTIVE")
    schedule = make_schedule("a", workflow=workflow)
    other = make_schedule("b")
    sweep()
    assert (outcomes(schedule), outcomes(other)) == (["FAILED"], ["STARTED"])
    assert "only ACTIVE ones can be started" in schedule.runs.get().reason


def test_a_pinned_version_runs():
    workflow = factories.make_workflow()
    services.save_definition(workflow, {"steps": [{**factories.SIMPLE_STEPS[0], "id": "new"}]})
    make_schedule("old", workflow=workflow, version=1)
    make_schedule("new", workflow=workflow)
    sweep()
    numbers = WorkflowExecution.objects.values_list("version__number", flat=True)
    assert sorted(numbers) == [1, 2]


def test_disabled_schedules_do_nothing_and_make_up_for_nothing():
    schedule = make_schedule(due=timezone.now() - HOUR)
    services.set_enabled(schedule, False, actor="x")
    assert services.sweep_schedules() == 0
    enabled = services.set_enabled(schedule, True, actor="x")
    assert enabled.next_run_at > timezone.now()


def test_a_change_that_is_not_about_times_keeps_a_due_tick():
    schedule = make_schedule()
    assert services.update_schedule(schedule, {"priority": 3}).next_run_at == TICK
    moved = services.update_schedule(schedule, {"cron": "30 * * * *"})
    assert moved.next_run_at > timezone.now()


def test_a_schedule_ends_with_its_last_tick():
    schedule = make_schedule(ends_at=TICK + timedelta(minutes=30), starts_at=TICK - HOUR)
    WorkflowSchedule.objects.update(next_run_at=TICK)
    sweep()
    schedule.refresh_from_db()
    assert (schedule.next_run_at, schedule.state, outcomes(schedule)) == (
        None,
        "ENDED",
        ["STARTED"],
    )


def test_run_now_starts_at_once_in_the_name_of_who_asked():
    schedule = make_schedule()
    services.set_enabled(schedule, False)
    run = services.run_now(schedule, actor="ann")
    assert (run.kind, run.outcome, run.execution.started_by) == ("MANUAL", "STARTED", "ann")
    with pytest.raises(Conflict, match="still runs"):
        services.run_now(schedule, actor="ann")
    assert schedule.runs.count() == 1


def backfill(schedule, hours, *, start=True):
    ask = services.start_backfill if start else services.plan_backfill
    more = {"actor": "ann"} if start else {}
    return ask(schedule, first=TICK - hours * HOUR, last=TICK - timedelta(minutes=1), **more)


def test_a_backfill_is_counted_first_then_worked_off_in_order():
    schedule = make_schedule(due=None)
    assert len(backfill(schedule, 3, start=False).ticks) == 3
    assert not schedule.runs.exists()
    backfill(schedule, 3)
    for going in range(1, 4):
        sweep(TICK)
        assert outcomes(schedule).count("STARTED") == going
        assert [o for o in outcomes(schedule)[:going] if o != "STARTED"] == []
        end_all()
    scheduled = [
        e.context["scheduled_for"][11:13] for e in WorkflowExecution.objects.order_by("id")
    ]
    assert scheduled == ["09", "10", "11"]


def test_a_backfill_leaves_out_what_ran_and_takes_up_what_was_skipped():
    schedule = make_schedule(due=None)
    for hours, outcome in ((1, "STARTED"), (2, "SKIPPED"), (3, "FAILED")):
        schedule.runs.create(tick=TICK - hours * HOUR, outcome=outcome)
    plan = backfill(schedule, 4)
    assert (len(plan.ticks), plan.done) == (3, 1)
    assert outcomes(schedule) == ["PENDING", "PENDING", "PENDING", "STARTED"]
    assert services.cancel_backlog(schedule, actor="ann") == 3
    assert schedule.runs.filter(reason="Given up by ann.").count() == 3


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (TICK, TICK - HOUR, "before 'from'"),
        (TICK - HOUR, TICK.replace(year=2150), "in the future"),
        (TICK - timedelta(days=100), TICK, "more than 1,000 ticks"),
        (TICK.replace(year=1970), TICK, "from 2000 to 2199"),
    ],
)
def test_backfills_are_bounded(first, last, words):
    schedule = make_schedule(due=None)
    with pytest.raises(ValidationFailed, match=words):
        services.start_backfill(schedule, first=first, last=last, actor="ann")
    assert not schedule.runs.exists()


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"cron": "x"}, "cron"),
        ({"timezone": "x"}, "timezone"),
        ({"workflow": "unknown"}, "workflow"),
        ({"version": 9}, "version"),
        ({"priority": 101}, "priority"),
        ({"catch_up_limit": 0}, "catch_up_limit"),
        ({"overlap_policy": "sometimes"}, "overlap_policy"),
        ({"starts_at": TICK, "ends_at": TICK - HOUR}, "ends_at"),
        ({"starts_at": TICK.replace(year=9999)}, "starts_at"),
        ({"input": []}, "input"),
    ],
)
def test_schedules_refuse_what_cannot_be(fields, path):
    with pytest.raises(ValidationFailed) as refused:
        make_schedule(**fields)
    assert list(refused.value.errors) == [path]
    assert not WorkflowSchedule.objects.exists()


def test_names_are_unique_in_any_case():
    make_schedule("Nightly")
    with pytest.raises(Conflict, match="exists already"):
        make_schedule("nightly")


def test_deleting_a_workflow_deletes_its_schedules():
    schedule = make_schedule()
    sweep()
    end_all()
    services.delete_workflow(schedule.workflow, force=True)
    assert not WorkflowSchedule.objects.exists()
    assert WorkflowExecution.objects.count() == 1


def test_old_runs_are_forgotten_but_open_ones_stay():
    schedule = make_schedule("minutely")
    for minute in range(6):
        outcome = "QUEUED" if minute == 0 else "STARTED"
        schedule.runs.create(tick=TICK + timedelta(minutes=minute), outcome=outcome)
    assert purge_schedule_runs(keep=3) == 2
    kept = schedule.runs.order_by("tick").values_list("tick", flat=True)
    assert [(tick - TICK) // timedelta(minutes=1) for tick in kept] == [0, 3, 4, 5]
    assert purge_schedule_runs(keep=3) == 0
