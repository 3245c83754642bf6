"""Asks an ASGI application within this process, as a server would."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

REQUEST_ID = "test"


@dataclass(frozen=True)
class Answered:
    """A whole answer; header names are in lower case, in the order in which they were sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __getitem__(self, name: str) -> str:
        return dict(self.headers)[name]


def scope_of(
    path: str, *, method: str = "GET", body: bytes = b"", **headers: str
) -> dict[str, Any]:
    """Return what a server hands on of a request; header names are written with underscores."""
    raw_path, _, query = path.partition("?")
    sent = {"host": "localhost", "x-request-id": REQUEST_ID}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    if body:
        sent |= {"content-type": "application/json", "content-length": str(len(body))}
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": raw_path,
        "raw_path": quote(raw_path).encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }


async def ask(
    application: Any,
    path: str,
    *,
    method: str = "GET",
    body: bytes = b"",
    **headers: str,
) -> Answered:
    """Send a request; header names are written with underscores."""
    scope = scope_of(path, method=method, body=body, **headers)
    messages: list[dict[str, Any]] = []

    unread = [body]

    async def receive() -> dict[str, Any]:
        if not unread:
            await asyncio.Event().wait()  # the caller stays, and sends nothing more
        return {"type": "http.request", "body": unread.pop(), "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await application(scope, receive, send)
    start, *parts = messages
    received = tuple((name.decode(), value.decode("latin-1")) for name, value in start["headers"])
    return Answered(start["status"], received, b"".join(part.get("body", b"") for part in parts))
