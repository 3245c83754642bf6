"""Counts what a stretch costs: CPU seconds by part, write transactions, database round trips."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.testbed.servers import OBSERVER, STATEMENTS, Durable

TICKS = os.sysconf("SC_CLK_TCK")
# Every statement is one exchange with the server, BEGIN and COMMIT included; the checks of foreign
# keys, which the server does by itself when a transaction commits, are counted there but are none.
ROUND_TRIPS = (
    f"SELECT coalesce(sum(calls), 0)::bigint FROM {STATEMENTS} s"  # noqa: S608
    " JOIN pg_roles r ON r.oid = s.userid WHERE r.rolname <> %s"
    " AND s.query NOT LIKE %s"
)
FOREIGN_KEY_CHECK = "SELECT % FROM ONLY % FOR KEY SHARE OF x"
# Transactions that write get a number. Asking takes one, so that those under way are counted too.
NEXT_TRANSACTION = "SELECT pg_current_xact_id()::text::bigint"


@dataclass(frozen=True)
class Reading:
    """The counters at one moment, or their growth between two. None where nothing counts."""

    cpu_seconds: Mapping[str, float] = field(default_factory=dict)
    transactions: int | None = None
    round_trips: int | None = None

    def since(self, earlier: Reading) -> Reading:
        return Reading(
            {name: total - earlier.cpu_seconds[name] for name, total in self.cpu_seconds.items()},
            _grown(self.transactions, earlier.transactions, own=1),
            _grown(self.round_trips, earlier.round_trips),
        )


def _grown(after: int | None, before: int | None, *, own: int = 0) -> int | None:
    return None if after is None or before is None else after - before - own


class Counters:
    """Reads processes by the names given to them, and the server where there is one."""

    def __init__(self, processes: Mapping[str, Collection[int]], durable: Durable | None) -> None:
        self._processes = processes
        self._counts_statements = durable is not None and durable.counts_statements
        self._server = (
            psycopg.connect(durable.observer_dsn, autocommit=True) if durable is not None else None
        )

    def read(self) -> Reading:
        stat = read_processes()
        cpu = {
            name: sum(cpu_of_tree(pid, stat) for pid in pids)
            for name, pids in self._processes.items()
        }
        if self._server is None:
            return Reading(cpu)
        transaction = self._server.execute(NEXT_TRANSACTION).fetchone()
        calls = (
            self._server.execute(ROUND_TRIPS, [OBSERVER, FOREIGN_KEY_CHECK]).fetchone()
            if self._counts_statements
            else None
        )
        return Reading(
            cpu, transaction[0] if transaction else None, int(calls[0]) if calls else None
        )

    def close(self) -> None:
        if self._server is not None:
            self._server.close()


def read_processes() -> dict[int, tuple[int, float]]:
    """Return parent and CPU seconds of every process, with what its ended children used."""
    processes = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold blanks.
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        used = sum(int(ticks) for ticks in fields[11:15]) / TICKS
        processes[int(entry.parent.name)] = int(fields[1]), used
    return processes


def cpu_of_tree(pid: int, stat: Mapping[int, tuple[int, float]]) -> float:
    """Return the CPU seconds of a process and of everything below it; 0 where there is no /proc."""
    if pid not in stat:
        return 0.0
    children = [child for child, (parent, _) in stat.items() if parent == pid]
    return stat[pid][1] + sum(cpu_of_tree(child, stat) for child in children)
