"""Keeps a data directory to one hub, and ends what a killed one has left behind.

The supervisor holds a lock on run/supervisor.pid, which also names it. What it starts carries
SUPERVISED_DATA_DIR in its environment, by which the next start finds what a kill -9 left.
Needs the standard library alone: `./dev` asks before anything is installed.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

SUPERVISED = "SUPERVISED_DATA_DIR"
STOP_SECONDS = 5.0


def claim_data_dir(data_dir: Path) -> str:
    """Lock the data directory until this process ends, also if it executes another program.

    Return the id of the process that holds the lock, if it is another one. What a run that was
    killed has left behind is ended.
    """
    note = os.open(data_dir / "run" / "supervisor.pid", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(note, 20).decode().strip()
        os.close(note)
        return holder or "unknown"
    os.set_inheritable(note, True)
    os.truncate(note, 0)
    os.write(note, f"{os.getpid()}\n".encode())
    end_processes(supervised_processes(data_dir))
    return ""


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
