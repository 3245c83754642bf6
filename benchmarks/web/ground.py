"""The hub as a user starts it, the servers under it, and what one part measures on them."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx2

from benchmarks.testbed import fleet
from benchmarks.testbed.counters import cpu_of_tree, read_processes
from benchmarks.testbed.hub import use_database_of
from benchmarks.testbed.servers import Durable, start_durable
from benchmarks.web import wrk
from benchmarks.web.targets import FAILED, p99, rate
from benchmarks.web.wrk import Request
from tests.support.real_hub import ROOT, Hub
from tests.support.servers import ending_with_this
from tests.support.waiting import until

KEYS = 32
TYPES = ("AGENT_ORCHESTRATOR", "PLANNING_SYSTEM", "TOOL_INTEGRATION")
PRODUCTION = {
    "ENVIRONMENT": "production",
    "ALLOWED_HOSTS": "127.0.0.1",
    "SECURE_SSL_REDIRECT": "false",  # no proxy that speaks TLS stands before it
    "CREDENTIAL_KEYS": "bench:" + "A" * 43 + "=",
    "ALLOWED_NETWORKS": "127.0.0.0/8,10.0.0.0/8",  # where the services say that they are
}
MAKE_KEYS = f"""
import json
from core.api_keys import Grantable, issue_key
from core.roles import SCOPES
fields = [{{"name": f"caller-{{n}}", "role": "OPERATOR"}} for n in range({KEYS})]
print(json.dumps([issue_key(one, may_grant=Grantable(frozenset(SCOPES)))[1] for one in fields]))
"""
START_SECONDS = 180
OF_THE_TESTS = ("ENGINE_LEASE_SECONDS", "LOG_LEVEL")


class InstalledHub(Hub):
    """A hub that `./dev run` started: its processes are those of the Procfile."""

    def __init__(self, directory: Path, surroundings: dict[str, str]) -> None:
        super().__init__(directory, surroundings)
        for name in OF_THE_TESTS:
            if name not in surroundings:
                del self.environment[name]

    def is_ready(self) -> bool:
        assert self.supervisor.poll() is None, f"the hub did not start\n{self.tail()}"
        return super().is_ready()

    def start(self) -> None:
        self.supervisor = subprocess.Popen(
            [sys.executable, str(ROOT / "dev"), "run"],
            env=self.environment,
            stdout=self.log,
            stderr=self.log,
            preexec_fn=ending_with_this(signal.SIGTERM),
        )
        self.processes.append(self.supervisor)
        until(self.is_ready, "the hub is ready", seconds=START_SECONDS, tail=self.tail)
        lines = (self.directory / "access.env").read_text().splitlines()
        self.access = dict(line.split("=", 1) for line in lines)
        self.key = self.access["SERVICE_INTEGRATION_API_KEY"]
        self.connect()

    @functools.cached_property
    def keys(self) -> list[str]:
        """API keys of operators, one for each caller."""
        command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", MAKE_KEYS]
        made = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=True
        )
        keys: list[str] = json.loads(made.stdout.splitlines()[-1])
        return keys

    def requests(self, method: str, paths: Sequence[str], body: str = "") -> list[Request]:
        """Return a request to each path (at least one for each key), the keys taking turns."""
        count = max(len(paths), KEYS)
        return [
            Request(method, f"/api{paths[n % len(paths)]}", self.keys[n % KEYS], body)
            for n in range(count)
        ]

    def cpu_seconds(self) -> float:
        return cpu_of_tree(self.supervisor.pid, read_processes())

    def all_processes(self) -> list[int]:
        """Return the supervisor and everything below it."""
        return _tree(self.supervisor.pid)

    def web_tree(self) -> list[int]:
        """Return the process of the Procfile that answers HTTP, and those below it."""
        programs = [pid for pid in _children(self.supervisor.pid) if "celery" not in _command(pid)]
        return [pid for program in programs for pid in _tree(program)]

    def web_workers(self) -> list[int]:
        """Return the processes that answer requests: those that start no other."""
        ends = [pid for pid in self.web_tree() if not _children(pid)]
        return [pid for pid in ends if "resource_tracker" not in _command(pid)]


def _children(pid: int) -> list[int]:
    return [child for child, (parent, _) in read_processes().items() if parent == pid]


def _tree(pid: int) -> list[int]:
    return [pid, *(below for child in _children(pid) for below in _tree(child))]


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def megabytes(pids: Sequence[int]) -> float:
    """Return the resident memory of processes, in MB of 2^20 bytes; what they share counts once."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


class Bench:
    """What a part measures with, and the figures of its rounds."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.values: dict[str, list[float]] = {}

    def add(self, figure: str, value: float) -> None:
        self.values.setdefault(figure, []).append(value)
        print(f"  {figure}: {value:,.4g}", file=sys.stderr, flush=True)

    def rounds(self) -> Iterator[int]:
        for number in range(self.options.rounds):
            print(f"  round {number + 1}", file=sys.stderr, flush=True)
            yield number

    def load(
        self,
        subject: str,
        url: str,
        requests: Sequence[Request],
        *,
        callers: int = 32,
        label: str = "",
    ) -> None:
        """Send a load, and add its pace, its 99th percentile, and failures where there are some.

        A `label` is that of the pace alone: then nothing but that is added.
        """
        came = wrk.send(url, requests, callers=callers, seconds=self.options.seconds)
        self.add(label or rate(subject), came.rate)
        if not label:
            self.add(p99(subject), came.p99_ms)
        if came.failed:
            print(f"  {subject}: {came.failed} of {came.answered}", file=sys.stderr, flush=True)
        self.add(f"{subject}, {FAILED}", came.failed)

    def say(self, text: str) -> None:
        print(f"  {text}", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def servers(self) -> Iterator[Durable]:
        with start_durable() as durable:
            yield durable

    @contextlib.contextmanager
    def production(self, **variables: str) -> Iterator[tuple[InstalledHub, Durable]]:
        """Run a hub on durable PostgreSQL and Redis; Django is set up here on its database."""
        with self.servers() as durable:
            surroundings = {**PRODUCTION, **durable.environment(), **variables}
            with self.hub(surroundings) as hub:
                use_database_of(hub)
                yield hub, durable

    @contextlib.contextmanager
    def hub(self, surroundings: Mapping[str, str]) -> Iterator[InstalledHub]:
        """Run a hub with these variables (none: the embedded default) until the block ends."""
        chosen = dict(pair.split("=", 1) for pair in self.options.set)
        with tempfile.TemporaryDirectory(
            prefix="si-bench-", ignore_cleanup_errors=True
        ) as directory:
            hub = InstalledHub(Path(directory), {**surroundings, **chosen})
            try:
                hub.start()
                yield hub
            finally:
                hub.stop()


def fill(hub: InstalledHub, names: Sequence[str], *, types: Sequence[str] = TYPES) -> None:
    """Put these services in, and let the hub see that its registry has changed."""
    fleet.fill_services(names, types=types)
    touch(hub)


def remove(hub: InstalledHub, names: Sequence[str]) -> None:
    fleet.remove_services(names)
    touch(hub)


def touch(hub: InstalledHub) -> None:
    """Register a service anew, as any change does: what was kept of the registry is no more."""
    hub.post("/registry/services", {"name": "touched", "tags": [secrets.token_hex(4)]})


def names_of(count: int, prefix: str = "service") -> list[str]:
    return [f"{prefix}-{number:05}" for number in range(count)]


def sample(hub: InstalledHub, path: str) -> int:
    """Return the bytes of an answer with its headers left out. Raises where it is not good."""
    answer = httpx2.get(f"{hub.url}/api{path}", headers={"Authorization": f"Bearer {hub.key}"})
    assert answer.status_code == 200, answer.text
    assert json.loads(answer.content)
    return len(answer.content)
