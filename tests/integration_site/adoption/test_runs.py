"""What becomes of executions and steps: statuses, times, graphs and where a retry begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.identifiers import id_of_text
from integration_site.adoption.conversion.executions import ConvertedRun, convert_run, ordered_id
from integration_site.adoption.conversion.shapes_of_runs import RunShape
from integration_site.adoption.conversion.values import Cells
from integration_site.adoption.findings import Notes
from integration_site.adoption.steps.executions import merge, merge_sorted
from workflows.definition import parse

BEGAN = datetime(2025, 3, 1, 8, tzinfo=UTC)
KEY = id_of_text("run")


def at(seconds: float) -> str:
    return str(BEGAN + timedelta(seconds=seconds))


def step(name: str, status: str = "COMPLETED", *, start: float = 0, **more: Any) -> dict[str, Any]:
    end = at(start + 1) if status not in ("PENDING", "RUNNING") else None
    row = {"step_id": name, "name": name, "status": status, "start_time": at(start)}
    return {"id": name, **row, "end_time": end, **more}


def convert(
    *steps: dict[str, Any], most_steps: int = 200, **execution: Any
) -> tuple[ConvertedRun, Cells]:
    row = {
        "workflow_id": "run",
        "workflow_type": "PROJECT_PLANNING",
        "status": "COMPLETED",
        "data": "{}",
        "start_time": at(0),
        "end_time": at(60),
        **execution,
    }
    cells = Cells(row, Notes("workflow_execution", "run"))
    parts = [Cells(each, Notes("workflow_step", each["id"])) for each in steps]
    return convert_run(cells, parts, key=KEY, source="s", most_steps=most_steps), cells


@pytest.mark.parametrize(
    ("execution", "before", "after"),
    [
        ("COMPLETED", ["COMPLETED", "COMPLETED"], ["COMPLETED", "COMPLETED"]),
        ("COMPLETED", ["COMPLETED", "RUNNING"], ["COMPLETED", "SKIPPED"]),
        ("FAILED", ["COMPLETED", "FAILED"], ["COMPLETED", "FAILED"]),
        ("FAILED", ["FAILED", "FAILED", "PENDING"], ["FAILED", "FAILED", "SKIPPED"]),
        ("FAILED", ["COMPLETED", "RUNNING", "PENDING"], ["COMPLETED", "FAILED", "SKIPPED"]),
        ("FAILED", ["COMPLETED"], ["COMPLETED", "FAILED"]),
        ("FAILED", [], ["FAILED"]),
        ("CANCELLED", ["COMPLETED", "CANCELLED"], ["COMPLETED", "CANCELLED"]),
        ("CANCELED", ["COMPLETED", "PENDING", "PENDING"], ["COMPLETED", "CANCELLED", "SKIPPED"]),
        ("RUNNING", ["COMPLETED", "RUNNING"], ["COMPLETED", "FAILED"]),
        ("PENDING", [], ["FAILED"]),
    ],
)
def test_an_execution_that_did_not_complete_stopped_at_one_step(
    execution: str, before: list[str], after: list[str]
) -> None:
    steps = [step(f"s{n}", status, start=n) for n, status in enumerate(before)]
    run, _ = convert(*steps, status=execution)
    assert [row["status"] for row in run.steps] == after
    stops = [
        row
        for row in run.steps
        if row["status"] in ("FAILED", "CANCELLED") and '"handled"' not in (row["error"] or "")
    ]
    assert len(stops) == (run.execution["status"] != "COMPLETED")


@pytest.mark.parametrize(
    ("given", "ends_at", "is_noted"),
    [
        ({}, 60, False),
        ({"end_time": None, "execution_time": "5"}, 5, False),
        ({"end_time": None}, 3, True),
        ({"end_time": at(-5)}, 3, True),
        ({"end_time": "infinity"}, 3, True),
    ],
)
def test_no_step_ends_after_its_execution(
    given: dict[str, Any], ends_at: float, is_noted: bool
) -> None:
    run, cells = convert(step("a"), step("b", start=2), **given)
    assert run.execution["completed_at"] == BEGAN + timedelta(seconds=ends_at)
    assert bool(cells.notes.findings) is is_noted
    assert max(row["completed_at"] for row in run.steps) <= run.execution["completed_at"]


def test_steps_with_one_id_are_visits_of_one_step() -> None:
    run, _ = convert(step("a"), step("a", start=1), step("b", start=2))
    assert [row["path"] for row in run.steps] == ["a", "a#2", "b"]
    assert run.shape == RunShape("PROJECT_PLANNING", ("a", "b"))


def test_steps_with_ids_made_at_random_are_called_by_their_names() -> None:
    ids = ("0a6f8bb4-7a25-4cde-8c92-6ddcf3b0b0a1", "1a6f8bb4-7a25-4cde-8c92-6ddcf3b0b0a1")
    run, _ = convert(*({**step(key), "name": "Get Project"} for key in ids))
    assert [row["path"] for row in run.steps] == ["get-project", "get-project#2"]


def test_many_different_steps_are_shown_as_one() -> None:
    run, cells = convert(*(step(f"s{n}", start=n) for n in range(4)), most_steps=3)
    assert run.shape.steps == ("run",)
    assert [row["path"] for row in run.steps] == ["run", "run#2", "run#3", "run#4"]
    assert cells.notes.findings


def test_the_graph_of_a_shape_is_a_definition_that_runs_the_workflow_of_today() -> None:
    shape = RunShape("PROJECT_PLANNING", ("get-project", "plan"))
    definition = parse(shape.document({"plan": "Plan it"}))
    assert list(definition.steps) == ["get-project", "plan"]
    assert definition.steps["plan"].name == "Plan it"
    assert shape.document({})["steps"][0]["workflow"] == "project-planning"


def test_ids_of_rows_are_in_the_order_of_their_times_and_always_the_same() -> None:
    moments = [BEGAN + timedelta(milliseconds=n) for n in range(5)]
    ids = [ordered_id(moment, KEY, place) for place, moment in enumerate(moments)]
    assert ids == sorted(ids)
    assert {key.version for key in ids} == {7}
    assert ids[3] == ordered_id(moments[3], KEY, 3)
    other = id_of_text("other")
    assert ordered_id(BEGAN, KEY, 1) != ordered_id(BEGAN, other, 1)


def test_rows_that_belong_together_are_met_together() -> None:
    executions = iter([("a", {"n": "1"}), ("b", {"n": "2"}), ("b", {"n": "3"})])
    steps = merge_sorted(
        [iter([("0", {"s": "1"}), ("b", {"s": "2"})]), iter([("b", {"s": "3"}), ("c", {})])]
    )
    assert [(key, len(found), len(parts)) for key, found, parts in merge(executions, steps)] == [
        ("0", 0, 1),
        ("a", 1, 0),
        ("b", 2, 2),
        ("c", 0, 1),
    ]
