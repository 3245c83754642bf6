"""A whole hub in processes of its own, for tests that fake nothing."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from tests.support import made_once
from tests.support.servers import ending_with_this, free_port
from tests.support.waiting import PATIENCE, until

ROOT = Path(__file__).resolve().parent.parent.parent
WORKER = (
    "celery --quiet -A integration_site worker --pool threads --concurrency 2"
    " --without-gossip --without-mingle --without-heartbeat"
)
BEAT = "celery --quiet -A integration_site beat --scheduler celery.beat.Scheduler"
LEASE_SECONDS = 2


class Hub:
    """Web, worker and beat below one data directory, started and ended one by one."""

    def __init__(self, directory: Path, surroundings: dict[str, str]) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")},
            "DATA_DIR": str(directory),
            "SERVICE_PORT": str(self.port),
            "SECRET_KEY": secrets.token_hex(32),
            "ENGINE_LEASE_SECONDS": str(LEASE_SECONDS),
            "PYTHONPATH": str(ROOT / "client" / "src"),
            "LOG_LEVEL": "WARNING",
            **surroundings,
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log = (directory / "hub.log").open("ab")

    def run(self, command: str, *, root: Path = ROOT, **more: str) -> "subprocess.Popen[bytes]":
        """Start one process of the hub; it ends with the tests."""
        program, *arguments = command.split()
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / program), *arguments],
            cwd=root,
            env=self.environment | more,
            stdout=self.log,
            stderr=self.log,
            preexec_fn=ending_with_this(signal.SIGKILL),
        )
        self.processes.append(process)
        return process

    def start(self) -> None:
        if made_once.FOLDER in os.environ:
            made_once.copy_static_files(self.directory)
            if "POSTGRES_HOST" not in self.environment:
                shutil.copy(made_once.migrated_file(), self.directory)
        assert self.run("python manage.py bootstrap").wait(PATIENCE) == 0, self.tail()
        self.web = self.run("gunicorn integration_site.asgi")
        self.worker = self.start_worker()
        self.beat = self.run(BEAT)
        until(self.is_ready, "the hub is ready", tail=self.tail)
        lines = (self.directory / "access.env").read_text().splitlines()
        self.access = dict(line.split("=", 1) for line in lines)
        self.key = self.access["SERVICE_INTEGRATION_API_KEY"]
        self.connect()

    def connect(self) -> None:
        """Forget open connections: those to a killed server are of no use."""
        headers = {"Authorization": f"Bearer {self.key}"}
        self.api = httpx2.Client(base_url=f"{self.url}/api", headers=headers, timeout=70)

    def start_worker(self, *, failpoint: str = "") -> "subprocess.Popen[bytes]":
        return self.run(WORKER, FAILPOINT=failpoint)

    def is_ready(self) -> bool:
        with contextlib.suppress(httpx2.HTTPError):
            return httpx2.get(f"{self.url}/health/ready").status_code == 200
        return False

    def kill_worker(self) -> None:
        """As the kernel would: no goodbye."""
        self.worker.send_signal(signal.SIGKILL)
        self.worker.wait()

    def stop(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
        self.log.close()

    def tail(self) -> str:
        return (self.directory / "hub.log").read_text(errors="replace")[-4000:]

    # What tests ask of it

    def get(self, path: str, **query: Any) -> Any:
        answer = self.api.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, status: tuple[int, ...] = (200, 201, 202)) -> Any:
        answer = self.api.post(path, json=body or {})
        assert answer.status_code in status, answer.text
        return answer.json()

    def ended(self, execution: str, seconds: float = PATIENCE) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def has_ended() -> bool:
            found.update(self.get(f"/executions/{execution}", wait=10))
            return found["status"] in ("COMPLETED", "FAILED", "CANCELLED", "NEEDS_REVIEW")

        until(
            has_ended, f"{execution} ends", tail=lambda: f"{found}\n{self.tail()}", seconds=seconds
        )
        return found


@contextlib.contextmanager
def running_hub(directory: Path, surroundings: dict[str, str]) -> Iterator[Hub]:
    hub = Hub(directory, surroundings)
    try:
        hub.start()
        yield hub
    finally:
        hub.stop()
