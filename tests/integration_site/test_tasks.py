"""What beat asks for exists, and one sweep that fails holds up no other."""

from __future__ import annotations

import pytest

from integration_site import tasks
from integration_site.beat import BEAT_SCHEDULE
from integration_site.celery import app


class Sweep:
    name = "a.sweep"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error


def test_workers_know_each_task_that_beat_asks_for() -> None:
    app.loader.import_default_modules()
    asked = {entry["task"] for entry in BEAT_SCHEDULE.values()}
    assert asked
    assert asked <= set(app.tasks)


def test_a_sweep_that_fails_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps = (Sweep(), Sweep(RuntimeError("no database")), Sweep())
    monkeypatch.setattr(tasks, "SWEEPS", sweeps)
    tasks.sweep_each_second()
    assert [each.calls for each in sweeps] == [1, 1, 1]
