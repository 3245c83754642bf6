"""The benchmark of the engine runs to its end and prints every figure; its speed is not asked."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import engine
from benchmarks.bed.counters import Reading, read_processes
from benchmarks.bed.hub import percentile
from benchmarks.bed.report import Figures, table

ROOT = Path(__file__).resolve().parent.parent
TINY = "--sqlite --sentiment --rounds 1 --executions 3 --latencies 2 --threads 2 --clients 2"


@pytest.fixture(scope="module")
def printed() -> str:
    command = [sys.executable, "-m", "benchmarks.engine", *TINY.split()]
    found = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False
    )
    assert found.returncode == 0, found.stderr[-4000:]
    return found.stdout


@pytest.mark.e2e
@pytest.mark.parametrize("kind", [engine.NO_OP, engine.HTTP, engine.SENTIMENT])
def test_tiny_run_prints_the_figures_of_each_kind_of_step(printed, kind):
    part = printed[printed.index(f"{kind} steps: throughput") :]
    for row in (*engine.ROWS, *engine.LATENCIES):
        assert f"\n{row}  " in part
    for column in (engine.BACKLOG, engine.POSTED, *engine.TIMINGS):
        assert column in part
    for loop in engine.loops_of(kind).values():
        assert f"{kind}: hub / {loop}: " in printed


@pytest.mark.e2e
def test_tiny_run_says_what_it_measured_on(printed):
    assert printed.startswith("Database: SQLite")
    assert "Round 1 of 1 done." in printed
    assert "What is measured" in printed


def test_percentile_is_the_nearest_rank():
    values = [float(number) for number in range(100, 0, -1)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile([7.0], 0.99) == 7


def test_ratio_is_the_median_of_the_rounds_own_ratios():
    figures = Figures()
    for hub, loop in ((10.0, 5.0), (1.0, 1.0), (90.0, 30.0)):
        figures.add("kind", "hub", {"speed": hub})
        figures.add("kind", "loop", {"speed": loop, "cost": None})
    assert figures.ratio("kind", "speed", ("hub", "loop")) == 2
    assert figures.ratio("kind", "cost", ("hub", "loop")) is None


def test_table_leaves_out_columns_without_figures():
    figures = Figures()
    figures.add("kind", "hub", {"speed": 1234.0})
    lines = table(figures, "kind", rows=["speed", "cost"], columns=["hub", "loop"])
    assert [line.split() for line in lines] == [["hub"], ["speed", "1,234"], ["cost", "-"]]


def test_growth_of_the_counters_leaves_out_what_reading_used():
    grown = Reading({"web": 3.0}, 20, 30).since(Reading({"web": 1.0}, 10, 30))
    assert grown == Reading({"web": 2.0}, 9, 0)
    assert Reading({}).since(Reading({})) == Reading({})


def test_every_process_is_read_with_its_parent():
    assert any(parent in (0, 1) for parent, _ in read_processes().values())
