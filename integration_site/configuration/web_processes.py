"""How many web processes there are where WEB_PROCESSES does not say so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOST = 8
# A busy process has less than half of this of its own.
BYTES_EACH = 256 * 1024 * 1024
CGROUP = Path("/sys/fs/cgroup")


def default_web_processes(values: Mapping[str, Any]) -> int:
    """Return how many web processes suit the database and this machine.

    On PostgreSQL one for each core, eight at most and no more than fit into the memory; one on
    SQLite, where a single process writes at a time anyway.
    """
    if not has_server(values):
        return 1
    return default_number(cores=usable_cores(), memory=usable_memory())


def has_server(values: Mapping[str, Any]) -> bool:
    """Return whether the database is PostgreSQL (pure)."""
    url = values["DATABASE_URL"] or ""
    return not url.startswith("sqlite") if url else bool(values["POSTGRES_HOST"])


def default_number(*, cores: float, memory: int) -> int:
    """Return how many processes suit so many cores and bytes (pure)."""
    return max(1, min(MOST, int(cores), memory // BYTES_EACH))


def usable_cores() -> float:
    """Return how many cores this process may use, as its affinity and its cgroup say."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    quota, _, period = _read(CGROUP / "cpu.max").partition(" ")
    return min(cores, int(quota) / int(period)) if quota.isdigit() else cores


def usable_memory() -> int:
    """Return how many bytes this process may use, as the machine and its cgroup say."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read(CGROUP / "memory.max")
    return min(memory, int(limit)) if limit.isdigit() else memory


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
