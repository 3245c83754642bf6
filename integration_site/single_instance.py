"""Keeps a data directory to one hub, and ends what a killed one has left behind.

The supervisor's process id and start time are in run/supervisor.pid. What it starts carries
SUPERVISED_DATA_DIR in its environment, by which the next start finds what a kill -9 left.
Needs the standard library alone: `./dev` asks before anything is installed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

SUPERVISED = "SUPERVISED_DATA_DIR"
STOP_SECONDS = 5.0


def claim_data_dir(data_dir: Path) -> int | None:
    """Note that this process runs on the data directory; return the one that does already, if any.

    What a run that was killed has left behind is ended.
    """
    note = data_dir / "run" / "supervisor.pid"
    pid = running_supervisor(note)
    if pid is None:
        end_processes(supervised_processes(data_dir))
        note.write_text(f"{os.getpid()} {start_time(os.getpid())}\n")
    return pid


def running_supervisor(note: Path) -> int | None:
    """Return the process that the note names, if it is alive and did not get the number since."""
    try:
        pid, _, started = note.read_text().strip().partition(" ")
        os.kill(int(pid), 0)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    except PermissionError:
        return None  # of another user, so not one of ours
    if is_zombie(int(pid)) or start_time(int(pid)) != started:
        return None
    return int(pid)


def start_time(pid: int) -> str:
    """Return when a process started, in the kernel's ticks; empty where there is no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]  # the name before it may hold spaces


def supervised_processes(data_dir: Path) -> list[int]:
    """Return the living processes that an earlier supervisor of the data directory started."""
    mark = f"{SUPERVISED}={data_dir}".encode()
    pids = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in entry.read_bytes().split(b"\0"):
                pids.append(int(entry.parent.name))
        except OSError:
            continue  # of another user, or gone meanwhile
    return [pid for pid in pids if pid != os.getpid()]


def end_processes(pids: Sequence[int]) -> None:
    """Send TERM, and KILL to what is left after a grace period."""
    if not pids:
        return
    print(f"Ending {len(pids)} processes that an interrupted run left behind", flush=True)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in filter(is_alive, pids):
            send_signal(pid, number)
        deadline = time.monotonic() + STOP_SECONDS
        while any(map(is_alive, pids)) and time.monotonic() < deadline:
            time.sleep(0.05)


def send_signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and not is_zombie(pid)


def is_zombie(pid: int) -> bool:
    """Return whether a process has ended and only waits to be noticed by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return False
