"""What the client adds to a read over the bare HTTP library, and how long importing it takes.

`python -m benchmarks.client` prints medians; the two kinds of call take turns, on one connection
each, against a small server in a process of its own.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection

import httpx2

from service_integration_client import SyncServiceIntegrationClient

CALLS, IMPORTS = 2000, 9
BODY = b'{"id": "w", "name": "document-processing", "steps": []}'


class Answering(BaseHTTPRequestHandler):
    """Answers every GET the same, and keeps the connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one write for an answer

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def serve(told: Connection) -> None:
    """Answer two connections at a time, for as long as the process lives."""
    from http.server import ThreadingHTTPServer

    server: HTTPServer = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    told.send(server.server_address[1])
    server.serve_forever()


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def compare(url: str) -> tuple[float, float]:
    """Median milliseconds of a bare read and of one through the client."""
    bare = httpx2.Client(trust_env=False)
    client = SyncServiceIntegrationClient(url, api_key="si_benchmark")
    headers = {"Authorization": "Bearer si_benchmark"}

    def plain() -> object:
        return bare.get(f"{url}/workflows/w", headers=headers).json()

    def through() -> object:
        return client.get_workflow("w")

    for _ in range(200):
        plain(), through()
    pairs = [(timed(plain), timed(through)) for _ in range(CALLS)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def import_milliseconds(statement: str) -> float:
    """Median start of an interpreter that runs the statement."""
    command = [sys.executable, "-c", statement]
    return statistics.median(
        timed(lambda: subprocess.run(command, check=True)) for _ in range(IMPORTS)
    )


def main() -> None:
    parent, child = Pipe()
    server = Process(target=serve, args=(child,), daemon=True)
    server.start()
    bare, through = compare(f"http://127.0.0.1:{parent.recv()}/api")
    server.terminate()
    print(f"read, bare httpx2     {bare:.3f} ms")
    print(f"read, the client      {through:.3f} ms   {through - bare:+.3f} ms")
    empty = import_milliseconds("pass")
    full = import_milliseconds("import service_integration_client")
    print(
        f"import of the client  {full - empty:.0f} ms   beyond an empty interpreter's {empty:.0f}"
    )


if __name__ == "__main__":
    main()
