"""Calling through a connection: its URL, credential, circuit breaker, limits and kill switch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from registry.calls.blocking_client import on_shared_loop
from registry.calls.client import CallResult, ServiceClient
from registry.models import Connection


async def call_connection(
    connection: Connection | str,
    document: Mapping[str, Any],
    *,
    method: str = "POST",
    path: str = "",
    headers: Mapping[str, str] | None = None,
    deadline: float | None = None,
    actor: str = "engine",
    client: ServiceClient | None = None,
    key: str = "",
) -> CallResult:
    """Call through a HTTP, GRAPHQL or WEBHOOK connection and return its answer.

    `connection` is its row, id or name, and the row of the id `key` goes before it; whether it may
    be called is asked again, at most every two seconds. `path` follows its base URL; `{name}` in it
    is filled from the document, whose rest is the body, or the query of GET and DELETE; GRAPHQL is
    given `{"query", "variables"}`. `deadline` is on the clock of `time.monotonic`; without one the
    connection's own timeout holds.
    Without a `client` it runs on the one of this process.

    Raises:
        SchemaViolation: the method, the path or the document cannot be sent.
        CallError: no usable answer came; the subclass says why. RateLimitedError and
            CircuitOpenError say when to come back; ConnectionDisabledError is the kill switch.
    """
    reference = str(connection.pk) if isinstance(connection, Connection) else connection
    options: dict[str, Any] = {"method": method, "path": path, "headers": headers, "actor": actor}
    options["key"] = key
    if client is not None:
        return await client.call_connection(reference, document, deadline=deadline, **options)
    return await asyncio.wrap_future(
        on_shared_loop(
            lambda shared: shared.call_connection(reference, document, deadline=deadline, **options)
        )
    )


def call_connection_now(
    connection: Connection | str,
    document: Mapping[str, Any],
    *,
    timeout_seconds: float | None = None,
    **options: Any,
) -> CallResult:
    """`call_connection`, waited for, for code that is not asynchronous."""
    reference = str(connection.pk) if isinstance(connection, Connection) else connection
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    return on_shared_loop(
        lambda shared: shared.call_connection(reference, document, deadline=deadline, **options)
    ).result()
