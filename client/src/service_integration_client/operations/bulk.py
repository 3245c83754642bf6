"""One action on every execution that a filter selects: counted, ordered, watched, stopped."""

from __future__ import annotations

from typing import Any

from service_integration_client.hub import Hub
from service_integration_client.requests import JsonObject, create, read, segment

BULK = "/executions/bulk"


async def preview_bulk_operation(hub: Hub, action: str, filter: JsonObject) -> Any:
    """How many executions an order would be about, and the newest of them; nothing is done.

    `action` is retry, cancel, pause or resume; `filter` takes what `get_executions` filters by.
    Raises: ValidationError.
    """
    return await hub.call(create(BULK, body={"action": action, "filter": filter, "dry_run": True}))


async def start_bulk_operation(
    hub: Hub, action: str, filter: JsonObject, expected_count: int, *, reason: str = ""
) -> Any:
    """Have it done to all of them, in the background; the answer has its `id`.

    `expected_count` is what the preview said. Raises: ConflictError when there are many more by
    now, ValidationError.
    """
    body = {"action": action, "filter": filter, "expected_count": expected_count, "reason": reason}
    return await hub.call(create(BULK, body=body))


async def get_bulk_operations(
    hub: Hub, *, page: int | None = None, per_page: int | None = None, cursor: str | None = None
) -> Any:
    """One page of the bulk operations, newest first; `cursor` as in `get_executions`."""
    return await hub.call(read(BULK, page=page, per_page=per_page, cursor=cursor))


async def get_bulk_operation(hub: Hub, operation_id: str) -> Any:
    """How far it is (`done` of `total`), and why executions were refused.

    Raises: ResourceNotFoundError.
    """
    path = f"{BULK}/{segment(operation_id)}"
    return await hub.call(read(path, about=("bulk operation", operation_id)))


async def cancel_bulk_operation(hub: Hub, operation_id: str) -> Any:
    """Stop it; what was done stays done. Raises: ConflictError when it has ended."""
    path = f"{BULK}/{segment(operation_id)}/cancel"
    return await hub.call(create(path, body={}, about=("bulk operation", operation_id)))
