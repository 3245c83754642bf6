"""Load from wrk, which costs the machine a small part of what a client in Python would."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import NamedTuple

SCRIPT = Path(__file__).with_name("load.lua")
# Long: what is answered late is to be counted with its time.
TIMEOUT_SECONDS = 10
SPARE_SECONDS = 60
# Each run makes names that no run before it made.
NUMBERS = itertools.count(1_000_000, 1_000_000)


class Request(NamedTuple):
    """One request; `{n}` in its body becomes a number that no other has."""

    method: str
    path: str
    key: str = ""
    body: str = ""


@dataclass(frozen=True)
class Load:
    """What came of a load: good answers a second, the 99th percentile of all, what was not good.

    `failed` counts answers from 400 on, broken connections and answers that took too long. Where
    nothing was answered in the time, the percentile is infinite.
    """

    rate: float
    p99_ms: float
    failed: int
    answered: int


def missing_wrk() -> str:
    """Return a sentence on what has to be installed to send a load; empty if nothing has."""
    return "" if shutil.which("wrk") else "install wrk (Debian and Ubuntu: apt install wrk)"


def send(url: str, requests: Sequence[Request], *, callers: int, seconds: float) -> Load:
    """Send these in turn for so long, each caller the next as soon as it has its answer."""
    with tempfile.NamedTemporaryFile("w", prefix="si-bench-", suffix=".tsv") as file:
        file.writelines("\t".join(request) + "\n" for request in requests)
        file.flush()
        command = ["wrk", "--threads", "1", "--connections", str(callers), "--latency"]
        command += ["--duration", f"{max(1, round(seconds))}s", "--timeout", f"{TIMEOUT_SECONDS}s"]
        command += ["--script", str(SCRIPT), url, "--", file.name, str(next(NUMBERS))]
        run = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=seconds + SPARE_SECONDS
        )
    told = json.loads(run.stdout.splitlines()[-1])
    good = told["requests"] - told["refused"]
    failed = told["refused"] + told["broken"]
    p99_ms = told["p99"] if told["requests"] else inf
    return Load(good / told["seconds"], p99_ms, failed, told["requests"])
