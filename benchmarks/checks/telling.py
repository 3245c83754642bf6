"""How soon a channel is told that a check fails, measured from outside on a hub as users start it.

One server answers the checks and takes the messages, so that both times are of one clock. A check
has a threshold of one, its channel waits for nothing; the time runs from the first bad answer to
the message of it.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks.testbed.printing import say
from benchmarks.testbed.servers import start_durable
from benchmarks.web.ground import PRODUCTION, Bench
from tests.support.waiting import until

INTERVAL_SECONDS = 5
APART_SECONDS = 1.7
PATIENCE_SECONDS = 60
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Ground:
    """Which checks fail, when each was first answered so, and when a message named it."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.bad: set[str] = set()
        self.answered_at: dict[str, float] = {}
        self.told_at: dict[str, float] = {}

    def answer(self, name: str) -> int:
        self.seen.add(name)
        if name not in self.bad:
            return 200
        self.answered_at.setdefault(name, time.monotonic())
        return 500

    def hear(self, message: Any) -> None:
        at = time.monotonic()
        for incident in message["incidents"]:
            self.told_at.setdefault(incident["about"], at)


@contextlib.contextmanager
def serving(ground: Ground) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(ground.answer(self.path.strip("/")))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            ground.hear(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def measure_telling(options: Namespace) -> None:
    ground = Ground()
    bench = Bench(Namespace(set=[]))
    with (
        serving(ground) as url,
        start_durable() as durable,
        bench.hub({**PRODUCTION, **durable.environment()}) as hub,
    ):
        hub.post(
            "/monitoring/channels",
            {
                "name": "bench",
                "type": "WEBHOOK",
                "config": {"url": f"{url}/told"},
                "secret": {"key": KEY},
                "group_wait_seconds": 0,
                "per_minute": 1000,
            },
        )
        names = [f"check-{number:03}" for number in range(options.failures)]
        for name in names:
            hub.post(
                "/monitoring/checks",
                {
                    "name": name,
                    "kind": "HTTP",
                    "url": f"{url}/{name}",
                    "interval_seconds": INTERVAL_SECONDS,
                    "failure_threshold": 1,
                },
            )
        everyone = set(names)
        _wait(lambda: ground.seen >= everyone, "every check is answered")
        for name in names:
            ground.bad.add(name)
            time.sleep(APART_SECONDS)
        _wait(lambda: ground.told_at.keys() >= everyone, "every failure is told")
    took = sorted(ground.told_at[name] - ground.answered_at[name] for name in names)
    say(
        f"From the first bad answer to the message ({len(took)} checks, threshold 1, group wait 0):"
        f" median {statistics.median(took):.2f} s, longest {took[-1]:.2f} s."
    )


def _wait(condition: Callable[[], bool], what: str) -> None:
    until(condition, what, seconds=PATIENCE_SECONDS)
