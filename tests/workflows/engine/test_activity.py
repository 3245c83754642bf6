"""How long something of an execution ran, and the line that is folded where nothing did."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from workflows.admin.execution.timeline import (
    FOLD_PERCENT,
    NEAREST_MARKS_PERCENT,
    timeline_of,
)
from workflows.definition import read
from workflows.history.activity import (
    active_seconds,
    idle_gaps,
    idle_kinds,
    merged,
    spans_of,
)
from workflows.models import WorkflowExecution, WorkflowStep

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def attempt(began: float, ended: float, number: int = 1, **fields: Any) -> WorkflowStep:
    fields = {"step_id": "a", "path": "a", "status": "COMPLETED", **fields}
    return WorkflowStep(attempt=number, started_at=at(began), completed_at=at(ended), **fields)


RETRIED = [attempt(0, 0.1, status="FAILED"), attempt(508, 508.1, 2)]
times = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 30)), min_size=1, max_size=8)


@given(times)
def test_active_and_idle_time_make_up_the_whole(lengths: list[tuple[int, int]]) -> None:
    spans = [(at(begin), at(begin + length)) for begin, length in lengths]
    seconds = {s for begin, length in lengths for s in range(begin, begin + length)}
    assert active_seconds(spans) == len(seconds)
    gaps = idle_gaps(spans, start=at(0), end=at(200))
    assert sum((b - a).total_seconds() for a, b in gaps) == 200 - len(seconds)
    assert merged(spans) == merged(merged(spans))


def test_an_attempt_without_an_end_goes_on_until_now_or_counts_for_nothing() -> None:
    begun = [(at(0), None), (None, None)]
    assert active_seconds(spans_of(begun, until=at(5))) == 5
    assert active_seconds(spans_of(begun, until=None)) == 0


def test_what_ran_keeps_its_width_beside_eight_idle_minutes() -> None:
    line = timeline_of(RETRIED, start=at(0), end=at(508.1))
    first, second = line.rows[0].bars
    assert first.width == second.width == pytest.approx((100 - FOLD_PERCENT) / 2, abs=0.01)
    assert [fold.words for fold in line.folds] == ["nothing ran for 8 min 28 s"]
    assert line.folds[0].left == pytest.approx(first.left + first.width, abs=0.01)
    assert [mark.words for mark in line.marks] == ["0 ms", "8 min 28 s", "8 min 28 s"]


@given(times)
def test_bars_are_on_the_line_in_their_order_whatever_is_folded(
    lengths: list[tuple[int, int]],
) -> None:
    steps = [attempt(begin * 60, begin * 60 + length, 1) for begin, length in sorted(lengths)]
    line = timeline_of(steps, start=at(-400), end=at(9000))
    bars = [bar for row in line.rows for bar in row.bars]
    assert [bar.left for bar in bars] == sorted(bar.left for bar in bars)
    assert all(bar.left >= 0 and bar.width > 0 and bar.left + bar.width <= 100.01 for bar in bars)
    assert [mark.left for mark in line.marks] == sorted(mark.left for mark in line.marks)


def test_a_short_gap_is_not_folded() -> None:
    line = timeline_of([attempt(0, 5), attempt(8, 10, 2)], start=at(0), end=at(10))
    assert not line.folds
    assert [bar.left for bar in line.rows[0].bars] == [0, 80]


WAITED = [
    attempt(0, 0.1),
    attempt(0.1, 281.1, step_id="ask", path="ask"),
    attempt(281.1, 281.3, step_id="b", path="b"),
]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("APPROVAL", "waited 4 min 41 s for a person"),
        ("EVENT", "waited 4 min 41 s for an event"),
        ("WAIT", "waited 4 min 41 s for a timer"),
        ("PARALLEL", "nothing ran for 4 min 41 s"),
    ],
)
def test_a_wait_is_folded_and_what_ran_keeps_its_width(kind: str, words: str) -> None:
    line = timeline_of(WAITED, start=at(0), end=at(281.3), idle={"ask": kind})
    first, wait, last = (row.bars[0] for row in line.rows)
    assert [fold.words for fold in line.folds] == [words]
    assert wait.width == pytest.approx(FOLD_PERCENT, abs=0.01)
    assert last.width == pytest.approx(2 * first.width, abs=0.01)


def test_a_line_on_which_nothing_ran_yet_is_not_folded() -> None:
    ask = attempt(0, 281, step_id="ask", path="ask")
    line = timeline_of([ask], start=at(0), end=at(281), idle={"ask": "APPROVAL"})
    assert not line.folds
    assert line.rows[0].bars[0].width == 100


@given(st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_no_two_labels_of_a_line_are_printed_over_each_other(lengths: list[int]) -> None:
    steps = [
        attempt(number * 9000, number * 9000 + length, number + 1)
        for number, length in enumerate(lengths)
    ]
    line = timeline_of(steps, start=at(0), end=at((len(lengths) - 1) * 9000 + lengths[-1]))
    lefts = [mark.left for mark in line.marks]
    assert all(b - a >= NEAREST_MARKS_PERCENT for a, b in pairwise(lefts))
    assert lefts[-1] == 100


PAUSING = [
    {"id": "a", "type": "TRANSFORM", "output": {}, "next": "both"},
    {"id": "both", "type": "PARALLEL", "branches": [[
        {"id": "ask", "type": "APPROVAL"}, ], [
        {"id": "pause", "type": "WAIT", "seconds": 1}, ], [
        {"id": "hear", "type": "EVENT", "event": "paid"}]], "next": "child"},
    {"id": "child", "type": "WORKFLOW", "workflow": "other"},
]  # fmt: skip


def test_what_waits_and_what_holds_branches_is_idle_and_a_child_is_not() -> None:
    kinds = idle_kinds(read({"steps": PAUSING}).definition)
    assert set(kinds) == {"both", "ask", "pause", "hear"}
    assert idle_kinds(None) == {}


@pytest.mark.django_db
def test_the_time_until_a_person_answers_is_not_active(client: Client, settings: Any) -> None:
    workflow = factories.make_workflow(
        "asking",
        steps=[
            {"id": "a", "type": "TRANSFORM", "output": {}, "next": "ask"},
            {"id": "ask", "type": "APPROVAL", "next": "b"},
            {"id": "b", "type": "TRANSFORM", "output": {}},
        ],
    )
    execution = factories.make_execution(
        workflow=workflow, status="COMPLETED", started_at=at(0), completed_at=at(281.3)
    )
    keep_steps(execution, WAITED)
    answer = factories.caller("VIEWER").get(f"/executions/{execution.pk}").json()
    assert (answer["execution_time"], answer["active_time"]) == (281.3, 0.3)
    assert answer["idle_steps"] == ["ask"]
    client.force_login(User.objects.create_superuser("root"))
    page = client.get(
        reverse("admin:workflows_workflowexecution_change", args=(execution.pk,))
    ).content.decode()
    assert "active 300 ms" in page
    assert "Folded: waited 4 min 41 s for a person." in page


def keep_steps(execution: WorkflowExecution, steps: Iterable[WorkflowStep]) -> None:
    execution.steps.all().delete()
    for step in steps:
        step.pk, step.execution = WorkflowStep().pk, execution
        step._state.adding = True
        step.save()


def retried_execution() -> WorkflowExecution:
    execution = factories.make_execution(
        status="COMPLETED", started_at=at(0), completed_at=at(508.1)
    )
    keep_steps(execution, [*RETRIED, attempt(-900, -800, path="b", step_id="b", reused=True)])
    return execution


@pytest.mark.django_db
def test_the_page_and_the_api_tell_active_time_beside_elapsed_time(
    client: Client, settings: Any
) -> None:
    execution = retried_execution()
    client.force_login(User.objects.create_superuser("root"))
    page = client.get(
        reverse("admin:workflows_workflowexecution_change", args=(execution.pk,))
    ).content.decode()
    assert "8 min 28 s" in page
    assert "active 200 ms" in page
    assert "Folded: nothing ran for 8 min 28 s." in page
    answer = factories.caller("VIEWER").get(f"/executions/{execution.pk}").json()
    assert (answer["execution_time"], answer["active_time"]) == (508.1, 0.2)
