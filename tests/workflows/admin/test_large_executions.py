"""The page of an execution with thousands of steps."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import factories
from workflows.admin.execution.large_executions import MAX_INSIDE, find_steps
from workflows.models import WorkflowStep

pytestmark = pytest.mark.django_db
STEPS: list[dict[str, Any]] = [
    {"id": "before", "type": "TRANSFORM", "output": {}, "next": "each"},
    {
        "id": "each",
        "type": "MAP",
        "over": "$.input.items",
        "steps": [{"id": "check", "type": "TRANSFORM", "output": {}, "next": None}],
        "next": None,
    },
]


def make_large(elements: int):
    now = timezone.now()
    execution = factories.make_execution(
        factories.make_workflow(steps=STEPS), status="RUNNING", started_at=now
    )
    execution.steps.all().delete()
    times = {"started_at": now, "completed_at": now + timedelta(seconds=1)}
    rows = [
        WorkflowStep(
            execution=execution, step_id="before", path="before", status="COMPLETED", **times
        ),
        WorkflowStep(
            execution=execution,
            step_id="each",
            path="each",
            status="WAITING",
            started_at=now,
            total=elements + 3,
            begun=elements + 3,
            done=elements,
        ),
    ]
    done = ["COMPLETED"] * elements + ["FAILED", "RUNNING", "RUNNING"]
    for index, status in enumerate(done):
        scope = f"each/{index}"
        ended = {} if status == "RUNNING" else {"completed_at": times["completed_at"]}
        rows.append(
            WorkflowStep(
                execution=execution,
                step_id="check",
                scope=scope,
                path=f"{scope}/check",
                status=status,
                started_at=now,
                error={"code": "broken", "message": "No."} if status == "FAILED" else None,
                **ended,
            )
        )
    retried = rows[2]
    rows.append(
        WorkflowStep(
            execution=execution,
            step_id="check",
            scope=retried.scope,
            path=retried.path,
            attempt=2,
            status="FAILED",
            error={"handled": "RETRIED"},
            started_at=now,
        )
    )
    WorkflowStep.objects.bulk_create(rows, batch_size=500)
    return execution


def page(client, execution):
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(f"/admin/workflows/workflowexecution/{execution.pk}/live/")
    assert answer.status_code == 200
    return answer.content.decode(), len(queries)


def test_elements_are_counted_and_the_steps_around_them_stay_in_view(admin):
    text, _ = page(admin, make_large(1000))
    assert "1000 completed, 1 failed, 2 running" in text
    assert "1000 of 1003 elements done" in text
    assert text.count("each/") <= 2 * MAX_INSIDE + 10
    assert "×1003" in text
    assert '"hub-shares"' in text
    assert f"The latest {MAX_INSIDE}:" in text


def test_a_large_page_costs_as_many_queries_and_bytes_at_ten_thousand_as_at_three_hundred(admin):
    page(admin, make_large(10))
    small, cost = page(admin, make_large(300))
    large, large_cost = page(admin, make_large(10_000))
    assert large_cost == cost
    assert len(large) < len(small) + 500


def test_few_steps_are_all_shown_and_nothing_is_counted():
    found = find_steps(make_large(20))
    assert (len(found.steps), found.groups, found.has_more) == (26, [], False)


def test_many_steps_without_branches_are_cut_to_the_latest():
    execution = factories.make_execution()
    WorkflowStep.objects.bulk_create(
        WorkflowStep(execution=execution, step_id="s", path=f"s#{n}") for n in range(300)
    )
    found = find_steps(execution)
    assert (len(found.steps), found.groups) == (200, [])
    assert found.steps[-1].path == "s#299"
