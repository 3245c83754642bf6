"""Alert channels, messages, and a receiver that answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.utils import timezone

from monitoring.alerts.channels import create_channel
from monitoring.models import AlertChannel, AlertDelivery

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def make_channel(name: str = "on-call", url: str = "http://127.0.0.1:9", **fields: Any) -> Any:
    """A stored channel of the type WEBHOOK that tells at once, unless told otherwise."""
    columns = ("failures", "last_error", "last_sent_at")
    kept = {column: fields.pop(column) for column in columns if column in fields}
    given = {
        "name": name,
        "type": "WEBHOOK",
        "config": {"url": url},
        "secret": {"key": KEY},
        "group_wait_seconds": 0,
        **fields,
    }
    channel = create_channel(given, actor="tests")
    AlertChannel.objects.filter(pk=channel.pk).update(**kept) if kept else None
    channel.refresh_from_db()
    return channel


def make_delivery(channel: AlertChannel, **fields: Any) -> AlertDelivery:
    """A stored message."""
    given = {
        "reason": "FIRING",
        "severity": "CRITICAL",
        "group_key": "service:1",
        "title": "Critical: Service down: billing",
        "text": "Every instance fell silent.",
        "next_attempt_at": timezone.now(),
        **fields,
    }
    return AlertDelivery.objects.create(channel=channel, **given)


@dataclass
class Receiver:
    """Takes requests and remembers them; answers with the statuses that wait, then with 200."""

    url: str
    answers: list[int] = field(default_factory=list)
    visits: list[str] = field(default_factory=list)
    messages: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            taken.messages.append((self.path, headers, json.loads(body)))
            status = taken.answers.pop(0) if taken.answers else 200
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def do_GET(self) -> None:
            taken.visits.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    taken = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
