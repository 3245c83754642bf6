"""Connections, and the servers that they lead to, for the tests of connections."""

from __future__ import annotations

import itertools
import json
import socket
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from registry.calls.blocking_client import on_shared_loop
from registry.calls.client import CallResult
from registry.connections.lifecycle import ConnectionEditor, create_connection
from registry.models import Connection
from tests.support.credentials import Reply
from tests.support.waiting import PATIENCE

_numbers = itertools.count(1)
EDITOR = ConnectionEditor(actor="tester")


def make_connection(type: str = "HTTP", **fields: Any) -> Connection:
    """A stored connection, to nowhere unless told otherwise."""
    fields = {"name": f"connection-{next(_numbers)}", "type": type, **fields}
    if type in ("HTTP", "GRAPHQL", "WEBHOOK"):
        fields.setdefault("base_url", "http://127.0.0.1:9")
    else:
        fields.setdefault("host", "127.0.0.1")
        if fields.get("driver") == "MYSQL" and "credential" not in fields:
            fields.setdefault("username", "robot")
    return create_connection(fields, EDITOR)


def call_now(connection: Connection, document: dict[str, Any], **options: Any) -> CallResult:
    """Call a connection with the client of this process, and wait for the answer."""
    return on_shared_loop(
        lambda client: client.call_connection(str(connection.pk), document, **options)
    ).result()


def server_on(port: int, name: str) -> int:
    """The port, if a server of that name runs there; else the test is skipped."""
    try:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)):
            return port
    except OSError:
        pytest.skip(f"No {name} runs on 127.0.0.1:{port}.")


class WebServer:
    """Answers with what it is told to, and remembers what arrived; for `serving`."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.reply = Reply(200, b'{"well": true}')

    def answer(self, request: Any, body: bytes) -> Reply:
        self.requests.append((request.command, request.path, dict(request.headers.items()), body))
        return self.reply

    def say(self, document: Any, status: int = 200, **headers: str) -> None:
        self.reply = Reply(status, json.dumps(document).encode(), **headers)

    @property
    def paths(self) -> list[str]:
        return [f"{method} {urlsplit(path).path}" for method, path, _, _ in self.requests]
