"""One action on every execution that a filter selects: counted, ordered, watched, stopped."""

from __future__ import annotations

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

BULK_OPERATIONS = Collection("/executions/bulk", "bulk operation")


async def preview_bulk_operation(hub: Hub, action: str, filter: JsonObject) -> JsonObject:
    """Count the executions that an order would be about, and show the newest; nothing is done.

    `action` is retry, cancel, pause or resume; `filter` takes what `get_executions` filters by.
    Raises: ValidationError.
    """
    return await BULK_OPERATIONS.call(hub, "POST", {**locals(), "dry_run": True})


async def start_bulk_operation(
    hub: Hub, action: str, filter: JsonObject, expected_count: int, *, reason: str = ""
) -> JsonObject:
    """Have it done to all of them, in the background; the answer has its `id`.

    `expected_count` is what the preview said. Raises: ConflictError when there are many more by
    now, ValidationError.
    """
    return await BULK_OPERATIONS.call(hub, "POST", locals())


async def get_bulk_operations(
    hub: Hub, *, page: int | None = None, per_page: int | None = None, cursor: str | None = None
) -> JsonObject:
    """One page of the bulk operations, newest first; `cursor` as in `get_executions`.

    Raises: ValidationError.
    """
    return await BULK_OPERATIONS.call(hub, "GET", locals())


async def get_bulk_operation(hub: Hub, operation_id: str) -> JsonObject:
    """Its progress (`done` of `total`), and why executions were refused.

    Raises: ResourceNotFoundError.
    """
    return await BULK_OPERATIONS.call(hub, "GET /{operation_id}", locals())


async def cancel_bulk_operation(hub: Hub, operation_id: str) -> JsonObject:
    """Stop it; what was done stays done. Raises: ConflictError when it has ended."""
    return await BULK_OPERATIONS.call(hub, "POST /{operation_id}/cancel", locals())
