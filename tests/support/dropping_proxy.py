"""A proxy that loses answers: it passes a write on to the hub, and cuts the first answer off."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

NOT_PASSED_ON = ("host", "connection", "content-length", "transfer-encoding", "content-encoding")


class Dropping(ThreadingHTTPServer):
    """Counts how often each write came, by its idempotency key."""

    daemon_threads = True

    def __init__(self, hub: str) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.hub = httpx2.Client(base_url=hub, timeout=70)
        self.writes: Counter[str] = Counter()


class Passing(BaseHTTPRequestHandler):
    """Passes one request on."""

    protocol_version = "HTTP/1.1"
    server: Dropping

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in NOT_PASSED_ON}
        answer = self.server.hub.request(self.command, self.path, headers=headers, content=body)
        key = self.headers.get("Idempotency-Key")
        if key is not None:
            self.server.writes[key] += 1
            if self.server.writes[key] == 1:
                self.close_connection = True
                return
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name not in NOT_PASSED_ON:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 (what the server looks for)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def dropping(hub: str) -> Iterator[tuple[str, Counter[str]]]:
    """The proxy's URL, and how often each write has come to it."""
    server = Dropping(hub)
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server.writes
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
        server.hub.close()
