"""Names of engines, by which a neighbour on the same machine can tell that one is gone.

A name says host, place, process and when it began. The place is the boot and the namespace of
process ids, so that nobody takes a stranger's number for a neighbour's.
"""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from functools import cache
from pathlib import Path


def own_name() -> str:
    """A name for an engine of this process, different each time; at most 100 characters."""
    pid = os.getpid()
    host = socket.gethostname()[:40].replace(":", "-")
    return f"{host}:{_place()}:{pid}:{_began(pid)}:{uuid.uuid4().hex[:8]}"


def is_gone(name: str) -> bool:
    """Return whether this engine's process has surely ended; of other machines nothing is known."""
    parts = name.split(":")
    if len(parts) != 5 or not parts[2].isdigit():
        return False
    _, place, pid, began, _ = parts
    return bool(began) and place == _place() and _began(int(pid)) != began


@cache
def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        return "elsewhere"
    return hashlib.sha256(f"{boot} {space}".encode()).hexdigest()[:8]


def _began(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty where there is none, or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
