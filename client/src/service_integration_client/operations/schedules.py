"""Schedules: when workflows are started by the clock."""

from __future__ import annotations

from typing import Any

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject, with_removals

SCHEDULES = Collection("/schedules", "schedule")


async def create_schedule(
    hub: Hub,
    /,
    name: str,
    workflow_id: str,
    cron: str,
    *,
    timezone: str | None = None,
    input_data: JsonObject | None = None,
    **settings: Any,
) -> JsonObject:
    """Start a workflow by the clock. Answers the schedule, with its `next_runs`.

    `cron` has five fields; `timezone` is an IANA name, else UTC. `settings` are the other fields
    of a schedule: `overlap_policy`, `catch_up_policy`, `priority`, `enabled`, `starts_at` ...
    Raises: ValidationError, ConflictError.
    """
    fields = {"name": name, "workflow": workflow_id, "cron": cron}
    return await SCHEDULES.call(
        hub, "POST", {**settings, **fields, "timezone": timezone, "input": input_data}
    )


async def update_schedule(hub: Hub, /, schedule_id: str, **changes: Any) -> JsonObject:
    """Change these fields of a schedule; `changes` are fields by name. Answers the schedule.

    None takes a field away, such as the end of a schedule by `ends_at=None`.
    Raises: ResourceNotFoundError, ValidationError.
    """
    fields = {**with_removals(changes), "schedule_id": schedule_id}
    return await SCHEDULES.call(hub, "PATCH /{schedule_id}", fields)


async def delete_schedule(hub: Hub, schedule_id: str) -> JsonObject:
    """Delete a schedule. Answers ``{"id", "deleted"}``. Raises: ResourceNotFoundError."""
    return await SCHEDULES.delete(hub, "/{schedule_id}", locals())


async def enable_schedule(hub: Hub, schedule_id: str) -> JsonObject:
    """Switch a schedule on. Raises: ResourceNotFoundError."""
    return await SCHEDULES.call(hub, "POST /{schedule_id}/enable", locals())


async def disable_schedule(hub: Hub, schedule_id: str) -> JsonObject:
    """Switch a schedule off. Raises: ResourceNotFoundError."""
    return await SCHEDULES.call(hub, "POST /{schedule_id}/disable", locals())


async def run_schedule(hub: Hub, schedule_id: str) -> JsonObject:
    """Run a schedule now. Answers the run, with its `outcome`. Raises: ConflictError."""
    return await SCHEDULES.call(hub, "POST /{schedule_id}/run", locals())


async def backfill_schedule(
    hub: Hub, schedule_id: str, start: str, end: str, *, dry_run: bool = False
) -> JsonObject:
    """Run the ticks from `start` to `end`, ISO 8601. Answers how many; `dry_run` only counts.

    Raises: ResourceNotFoundError, ValidationError.
    """
    fields = {"schedule_id": schedule_id, "from": start, "to": end, "dry_run": dry_run}
    return await SCHEDULES.call(hub, "POST /{schedule_id}/backfill", fields)


async def get_schedule(hub: Hub, schedule_id: str) -> JsonObject:
    """A schedule by its id or name. Raises: ResourceNotFoundError."""
    return await SCHEDULES.call(hub, "GET /{schedule_id}", locals())


async def get_schedules(
    hub: Hub,
    *,
    workflow_id: str | None = None,
    enabled: bool | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the schedules. Raises: ValidationError."""
    filters = {"workflow": workflow_id, "enabled": enabled, "page": page, "per_page": per_page}
    return await SCHEDULES.call(hub, "GET", filters)


async def get_schedule_runs(
    hub: Hub,
    schedule_id: str,
    *,
    outcome: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of what became of the ticks, newest first. Raises: ResourceNotFoundError."""
    return await SCHEDULES.call(hub, "GET /{schedule_id}/runs", locals())
