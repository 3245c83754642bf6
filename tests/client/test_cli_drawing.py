"""Executions and values as the command line draws them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from service_integration_client.cli.execution_tree import execution_tree
from service_integration_client.cli.tables import ago, seconds
from service_integration_client.cli.timeline import scale_of
from service_integration_client.cli.workflows import validation_text

pytestmark = pytest.mark.once


def drawn(execution: dict[str, Any]) -> str:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(execution_tree(execution, now=datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)))
    return console.export_text()


def step(path: str, status: str, begin: int, end: int | None, **more: Any) -> dict[str, Any]:
    at = "2026-01-01T00:00:{:02d}Z"
    return {
        "step_id": path.split("/")[-1], "path": path, "status": status, "attempt": 1,
        "started_at": at.format(begin),
        "completed_at": None if end is None else at.format(end),
        **more,
    }  # fmt: skip


def test_an_execution_is_a_tree_with_a_line_for_each_time() -> None:
    text = drawn(
        {
            "id": "1", "workflow_name": "w", "status": "FAILED", "execution_time": 8.0,
            "errors": [{"step": "c", "message": "It broke.", "code": "oops"}],
            "steps": [
                step("a", "COMPLETED", 0, 4), step("a/0/b", "RUNNING", 4, None),
                step("c", "FAILED", 4, 8, attempt=2, error={"message": "It broke."}),
                {"step_id": "d", "status": "PENDING", "attempt": 1},
            ],
        }
    )  # fmt: skip
    lines = text.splitlines()
    assert lines[0].startswith("w FAILED  8.0 s")
    assert "└── ▶ 0/b" in lines[2]
    assert lines[1].index("━") < lines[2].index("━")
    assert lines[1].count("━") == 10
    assert "×2" in lines[3]
    assert lines[-1] == "c: It broke. (oops)"


@pytest.mark.parametrize("idle", [[], ["ask"]])
def test_what_ran_keeps_its_width_beside_a_retry_or_a_wait(idle: list[str]) -> None:
    at = "2026-01-01T00:0{}Z"
    steps = [
        step("a", "COMPLETED", 0, 1),
        step("b", "COMPLETED", 1, 2, completed_at=at.format("5:01"), started_at=at.format("5:00")),
    ]
    if idle:
        wait = {"started_at": at.format("0:01"), "completed_at": at.format("5:00")}
        steps.insert(1, step("ask", "COMPLETED", 1, 2, **wait))
    text = drawn(
        {
            "id": "1", "workflow_name": "w", "status": "COMPLETED", "execution_time": 301.0,
            "active_time": 2.0, "idle_steps": idle, "steps": steps,
        }
    )  # fmt: skip
    assert text.splitlines()[0].startswith("w COMPLETED  took 5 min, active 2.0 s")
    widths = [line.count("━") for line in text.splitlines() if "━" in line]
    assert widths == ([12, 1, 11] if idle else [12, 11])
    assert all(line.count("┄") == 1 for line in text.splitlines() if line.count("━") > 1)


def test_what_another_execution_did_takes_no_room_on_the_line() -> None:
    reused = step("a", "COMPLETED", 0, 1, reused=True)
    text = drawn({"id": "1", "steps": [reused, step("b", "COMPLETED", 40, 50)]})
    assert [line.count("━") for line in text.splitlines()[1:]] == [0, 24]


def test_an_execution_without_steps_can_be_drawn() -> None:
    assert drawn({"id": "1", "status": "PENDING"}).startswith("execution PENDING")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0123, "12 ms"), (5.25, "5.2 s"), (600, "10 min"), (9000, "2.5 h")],
)
def test_durations_are_short(value: float | None, text: str) -> None:
    assert seconds(value) == text


def test_step_that_took_no_time_has_a_bar_all_the_same() -> None:
    lines = drawn({"id": "1", "steps": [step("a", "COMPLETED", 5, 5)]}).splitlines()
    assert lines[1].count("━") == 1


def test_what_is_not_known_is_drawn_as_nothing() -> None:
    assert ago(None) == "-"
    assert scale_of([], now=datetime(2030, 1, 1, tzinfo=UTC)) is None


def test_warnings_of_a_valid_file_are_shown() -> None:
    assert "slow" in validation_text([{"file": "a", "valid": True, "warnings": ["slow"]}]).plain
