"""Measures the engine beside a plain loop, DBOS and Celery: `./dev bench engine`.

One run starts everything that it needs, measures all in turn, several times, and prints the medians
as Markdown. `docs/benchmarks.md` says what the figures mean.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence

from benchmarks.testbed import hub as testbed
from benchmarks.testbed.counters import Counters
from benchmarks.testbed.peer_environment import PackagesMissing, prepare_environment
from benchmarks.testbed.peers import Peer, running_celery, running_dbos
from benchmarks.testbed.plain_loop import CLIENTS, Plain, create_table
from benchmarks.testbed.printing import print_conditions, print_figures, say
from benchmarks.testbed.report import Figures
from benchmarks.testbed.rounds import HTTP, NO_OP, SENTIMENT, Bench, run_round
from benchmarks.testbed.servers import Durable, start_durable
from tests.support.real_hub import Hub
from tests.support.servers import missing_servers


def main(arguments: Sequence[str] | None = None) -> int:
    options = read_options(arguments)
    with contextlib.ExitStack() as ending:
        durable = None
        if options.sqlite:
            say("Database: SQLite (WAL, synchronous=NORMAL), broker: files.")
        elif missing := missing_servers():
            say(f"PostgreSQL and Redis cannot be started here: {missing}. Falling back to SQLite.")
        else:
            durable = ending.enter_context(start_durable())
            say(f"Database: PostgreSQL, durable ({durable.settings()}); broker: Redis.")
        servers = durable.environment() if durable else {}
        hub, workers = ending.enter_context(testbed.running_testbed(servers))
        peers = start_peers(ending, durable) if durable and options.peers else []
        bench = ending.enter_context(prepared(hub, workers, durable, peers, options))
        print_conditions(bench)
        for number in range(options.rounds):
            run_round(bench)
            say(f"Round {number + 1} of {options.rounds} done.")
        print_figures(bench)
    return 0


def start_peers(ending: contextlib.ExitStack, durable: Durable) -> list[Peer]:
    """Start Celery, and DBOS where its packages can be had."""
    peers: list[Peer] = [ending.enter_context(running_celery(durable))]
    try:
        python = prepare_environment()
    except PackagesMissing as error:
        say(f"DBOS is left out, its packages cannot be installed: {error}")
        return peers
    return [ending.enter_context(running_dbos(python, durable)), *peers]


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench engine", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sqlite", action="store_true", help="the embedded database and broker")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="hub and loop only")
    parser.add_argument("--sentiment", action="store_true", help="also call that example service")
    parser.add_argument("--executions", type=int, default=500, help="of HTTP steps; no-op: 4 times")
    parser.add_argument("--latencies", type=int, default=40, help="executions timed one by one")
    parser.add_argument("--threads", type=int, default=16, help="of each of the loop's processes")
    parser.add_argument("--clients", type=int, default=8, help="threads that POST")
    options = parser.parse_args(arguments)
    counts = ("rounds", "executions", "latencies", "threads", "clients")
    if min(vars(options)[name] for name in counts) < 1:
        parser.error("use numbers from 1")
    return options


@contextlib.contextmanager
def prepared(
    hub: Hub,
    workers: Sequence[int],
    durable: Durable | None,
    peers: Sequence[Peer],
    options: argparse.Namespace,
) -> Iterator[Bench]:
    """Make services, workflows, the loop's table and processes, everything called once."""
    echo, echo_pid = testbed.start_echo(hub)
    urls, services = {NO_OP: "", HTTP: echo}, [echo_pid]
    testbed.define(hub, NO_OP, testbed.NO_OP)
    testbed.define(hub, HTTP, testbed.ECHO)
    if options.sentiment:
        urls[SENTIMENT], pid = testbed.start_sentiment(hub)
        services.append(pid)
        testbed.define(hub, SENTIMENT, testbed.SENTIMENT)
    database = durable.observer_dsn if durable else str(hub.directory / "hub.sqlite3")
    create_table(database)
    processes = {
        **{f"worker {number}": [pid] for number, pid in enumerate(workers)},
        "web": [hub.web.pid],
        "service": services,
        "database": [durable.pid] if durable else [],
        "broker": [durable.redis_pid()] if durable else [],
        **{peer.column: peer.pids for peer in peers},
    }
    counters = Counters(processes, durable)
    bench = Bench(hub, Plain(testbed.WORKERS), peers, counters, database, urls, options, Figures())
    try:
        for kind in urls:
            warm_up(bench, kind)
        yield bench
    finally:
        bench.plain.stop()
        counters.close()


def warm_up(bench: Bench, kind: str) -> None:
    """Open the pools and fill the caches of every part."""
    ids = testbed.post_executions(bench.hub, kind, 20, bench.options.clients)
    testbed.wait_for_all(bench.hub, ids)
    for client in CLIENTS:
        bench.plain.run(bench.job(kind, client, chains=8, threads=2))
    for peer in bench.peers:
        peer.run_many(bench.urls[kind], 8)


if __name__ == "__main__":
    sys.exit(main())
