"""A sweep has a sign of whatever it would do something about, and none where there is nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.support.engine import call, make_workflow, start
from workflows import services
from workflows.engine.lease_recovery import (
    has_due_quarantined,
    orphaned_children,
    overdue_executions,
    recover_expired,
)
from workflows.engine.work_signs import has_scheduled_work, signs_of_work
from workflows.models import Worker, WorkflowExecution, WorkflowSchedule, WorkflowStep
from workflows.services.executions.concurrency_limit import dequeue_everywhere

pytestmark = pytest.mark.django_db


@pytest.fixture
def begun() -> WorkflowExecution:
    """An execution whose one step nobody claimed yet."""
    return start(make_workflow([call("a")]))


def steps(**columns: Any) -> None:
    WorkflowStep.objects.update(**columns)


def executions(**columns: Any) -> None:
    WorkflowExecution.objects.update(**columns)


def past() -> Any:
    return timezone.now() - timedelta(minutes=1)


def hold() -> None:
    steps(status="RUNNING", wake_at=None, lease_until=past(), lease_owner="gone")


def end_parent() -> None:
    parent = start(make_workflow([call("b")], name="parent"))
    parent.steps.update(status="COMPLETED", wake_at=None)
    WorkflowExecution.objects.exclude(pk=parent.pk).update(parent_step=parent.steps.get())
    steps(wake_at=None)


CASES: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "held": (hold, recover_expired),
    "overdue": (lambda: executions(deadline_at=past()), overdue_executions),
    "children": (end_parent, orphaned_children),
    "dead": (lambda: steps(deaths=1, wake_at=past()), has_due_quarantined),
    "waiting": (lambda: steps(status="WAITING", wake_at=past()), lambda: True),
}


@pytest.mark.parametrize("sign", CASES)
def test_what_is_acted_on_has_its_sign(sign: str, begun: WorkflowExecution) -> None:
    arrange, act = CASES[sign]
    steps(wake_at=None)
    assert signs_of_work("w") == set()
    arrange()
    assert sign in signs_of_work("w")
    assert act()


def test_executions_that_wait_for_a_slot_have_a_sign() -> None:
    workflow = make_workflow([call("a")], concurrency=1)
    start(workflow)
    dequeue_everywhere()
    assert "queued" not in signs_of_work("w")
    start(workflow)
    assert "queued" in signs_of_work("w")


def test_a_worker_that_did_not_tell_of_its_sweep_lately_has_a_sign() -> None:
    Worker.objects.create(name="w", seen_at=timezone.now(), swept_at=timezone.now())
    assert signs_of_work("w") == set()
    Worker.objects.update(swept_at=past())
    assert signs_of_work("w") == {"sweep"}
    assert signs_of_work("another") == set()


def test_schedules_have_a_sign_when_they_are_due() -> None:
    given = {"name": "hourly", "workflow": make_workflow([call("a")]), "cron": "0 * * * *"}
    services.create_schedule(given, actor="someone")
    assert not has_scheduled_work()
    WorkflowSchedule.objects.update(next_run_at=past())
    assert has_scheduled_work()
