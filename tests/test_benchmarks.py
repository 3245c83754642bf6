"""The benchmark of the engine runs to its end and prints every figure; its speed is not asked."""

import contextlib
import os
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks import plans
from benchmarks.testbed import peer_environment, rounds
from benchmarks.testbed.chain import Stretch, merge_stretches, split_evenly
from benchmarks.testbed.counters import Reading, read_processes
from benchmarks.testbed.hub import listens, percentile
from benchmarks.testbed.peers import running_celery, running_dbos, spawn, stop_all
from benchmarks.testbed.query_plans import Plan
from benchmarks.testbed.report import Figures, table
from benchmarks.testbed.servers import start_durable
from benchmarks.web import targets, wrk
from benchmarks.web.targets import Target, judge
from tests.support import made_once
from tests.support.servers import free_port, missing_servers
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parent.parent
TINY = "--sqlite --sentiment --rounds 1 --executions 3 --latencies 2 --threads 2 --clients 2"
DBOS_INSTALLED = (peer_environment.DIRECTORY / "installed").is_file()


@pytest.fixture
def needs_postgres() -> None:
    if missing := missing_servers():
        pytest.skip(missing)


@pytest.fixture(scope="module")
def printed() -> str:
    command = [sys.executable, "-m", "benchmarks.engine", *TINY.split()]
    # Its hub begins from nothing: only processes with Django set up may take the tests' copies.
    environment = {k: v for k, v in os.environ.items() if k != made_once.FOLDER}
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert run.returncode == 0, run.stderr[-4000:]
    return run.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", [rounds.NO_OP, rounds.HTTP, rounds.SENTIMENT])
def test_tiny_run_prints_the_figures_of_each_kind_of_step(printed, kind):
    part = printed[printed.index(f"**{kind} steps: throughput**") :]
    for row in (*rounds.ROWS, *rounds.LATENCIES):
        assert f"\n| {row} " in part
    for column in (rounds.BACKLOG, rounds.POSTED, *rounds.TIMINGS):
        assert column in part
    for loop in rounds.loops_of(kind).values():
        assert f"{kind}: hub / {loop}: " in printed


@pytest.mark.slow
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
    assert lines == [
        "|       |   hub |",
        "|-------|------:|",
        "| speed | 1,234 |",
        "| cost  |     - |",
    ]


def test_growth_of_the_counters_leaves_out_what_reading_used():
    grown = Reading({"web": 3.0}, 20, 30).since(Reading({"web": 1.0}, 10, 30))
    assert grown == Reading({"web": 2.0}, 9, 0)
    assert Reading({}).since(Reading({})) == Reading({})


def test_every_process_is_read_with_its_parent():
    assert any(parent in (0, 1) for parent, _ in read_processes().values())


def test_parts_of_several_processes_span_from_the_first_to_the_last():
    parts = [Stretch(3.0, 9.0, 1.0, (0.1,)), Stretch(2.0, 7.0, 0.5, (0.2, 0.3))]
    assert merge_stretches(parts) == Stretch(2.0, 9.0, 1.5, (0.1, 0.2, 0.3))


def test_chains_are_shared_out_whole():
    assert split_evenly(7, 3) == [3, 2, 2]


@pytest.mark.slow
def test_packages_that_cannot_be_installed_are_said_and_not_taken_for_installed(
    tmp_path, monkeypatch
):
    pinned = tmp_path / "pinned.txt"
    pinned.write_text("there-is-no-such-package==1 --hash=sha256:" + "0" * 64 + "\n")
    monkeypatch.setattr(peer_environment, "PINNED", pinned)
    monkeypatch.setattr(peer_environment, "DIRECTORY", tmp_path / "venv")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(peer_environment.PackagesMissing, match="there-is-no-such-package"):
        peer_environment.prepare_environment()
    assert not (tmp_path / "venv" / "installed").exists()


@pytest.mark.slow
def test_statements_of_sweeps_and_lists_do_not_grow(needs_postgres):
    command = [sys.executable, "-m", "benchmarks.plans", "--few", "500", "--many", "5000"]
    found = subprocess.run(
        [*command, "--plans"], cwd=ROOT, capture_output=True, text=True, timeout=180, check=False
    )
    assert found.returncode == 0, found.stderr[-4000:]
    assert "No statement grows." in found.stdout
    assert "Index Scan using" in found.stdout


@pytest.mark.slow
def test_tiny_run_prints_what_a_call_costs(needs_postgres):
    sizes = ["--rounds", "1", "--calls", "20"]
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.calls", *sizes],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-4000:]
    for row in ("added", "resolution", "64 threads"):
        assert row in found.stdout


def test_statement_that_reads_a_whole_table_grows():
    few = Plan("SELECT", 27, 0.2, ("workflow_step",), "")
    assert not plans.has_grown(few, replace(few, pages=200))
    assert plans.has_grown(few, replace(few, pages=27_000))


@pytest.mark.skipif(not DBOS_INSTALLED, reason="`./dev bench engine` has not installed DBOS")
def test_peers_run_whole_chains_against_the_same_service(needs_postgres):
    with start_durable() as durable, contextlib.ExitStack() as ending:
        port = free_port()
        echo = spawn([sys.executable, "-m", "benchmarks.testbed.echo", str(port)])
        ending.callback(stop_all, [echo])
        until(lambda: listens(port), "the echo service answers")
        for peer in (
            ending.enter_context(running_celery(durable)),
            ending.enter_context(running_dbos(peer_environment.prepare_environment(), durable)),
        ):
            for url in ("", f"http://127.0.0.1:{port}/echo"):
                assert peer.run_many(url, 4).ended > 0
                assert len(peer.run_singly(url, 2).chain_seconds) == 2
                posted = peer.run_posted(url, 2)
                assert posted is None or len(posted.chain_seconds) == 2


@pytest.mark.parametrize(
    ("target", "figures", "ratio", "reached"),
    [
        (Target("pace", least=300), {"pace": [290, 310, 300]}, None, True),
        (Target("pace", least=300), {"pace": [299, 299, 310]}, None, False),
        (Target("p99", most=20), {"p99": [float("inf")]}, None, False),
        # Of each round by itself: the first was slow for both.
        (Target("pace", least=0.5, beside="etcd"), {"pace": [5, 60], "etcd": [10, 60]}, 0.75, True),
        (Target("ms", most=1, beside="chain"), {"ms": [9], "chain": [6]}, 1.5, False),
        (Target("pace", least=1, beside="etcd"), {"pace": [5], "etcd": [0]}, 0, False),
    ],
)
def test_median_or_its_ratio_is_held_against_the_target(
    monkeypatch, target, figures, ratio, reached
):
    monkeypatch.setattr(targets, "TARGETS", {"part": [target]})
    (outcome,) = [found for found in judge("part", figures) if found.target]
    assert (outcome.ratio, outcome.reached) == (ratio, reached)


def test_target_that_was_not_measured_is_missed(monkeypatch):
    monkeypatch.setattr(targets, "TARGETS", {"part": [Target("pace", least=1)]})
    assert [(found.figure, found.reached) for found in judge("part", {})] == [("pace", False)]


def test_one_failure_in_any_round_is_a_target_missed(monkeypatch):
    monkeypatch.setattr(targets, "TARGETS", {"part": []})
    found = list(judge("part", {"reads, failed": [0, 2, 0], "writes, failed": [0, 0, 0]}))
    assert [(one.figure, one.value, one.reached) for one in found] == [("reads, failed", 2, False)]


@pytest.mark.skipif(bool(wrk.missing_wrk()), reason=wrk.missing_wrk())
def test_load_sends_its_requests_in_turn_and_counts_what_is_not_good():
    seen = []

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            seen.append((self.path, self.headers["Authorization"], body))
            self.send_response(404 if self.path == "/missing" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    requests = [
        wrk.Request("POST", "/new", "k1", '{"name": "new-{n}"}'),
        wrk.Request("POST", "/missing", "k2", "{}"),
    ]
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}"
        load = wrk.send(url, requests, callers=2, seconds=1)
        server.shutdown()
    named = [body for path, _, body in seen if path == "/new"]
    assert len(set(named)) == len(named) > 1
    assert {(path, key) for path, key, _ in seen} == {
        ("/new", "Bearer k1"),
        ("/missing", "Bearer k2"),
    }
    assert 0 < load.failed < load.answered <= len(seen)
    assert load.rate > 0
    assert load.p99_ms > 0


@pytest.mark.slow
def test_killed_web_process_and_restarted_redis_lose_nothing(needs_postgres):
    sizes = "--parts kill-web restart-redis --rounds 1 --seconds 6 --check"
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.web", *sizes.split()],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != made_once.FOLDER},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr[-4000:]
