"""Checks: what is looked at, how it is, and what was seen."""

from __future__ import annotations

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

CHECKS = Collection("/monitoring/checks", "check")
PREVIEW = Collection("/monitoring/preview", "preview")
# The longest that looks at the subjects of a check take.
LONGEST_RUN_SECONDS = 60.0


async def create_check(
    hub: Hub,
    name: str,
    kind: str = "HTTP",
    *,
    url: str | None = None,
    service: str | None = None,
    interval_seconds: int | None = None,
    timeout_seconds: int | None = None,
    retry_seconds: int | None = None,
    failure_threshold: int | None = None,
    success_threshold: int | None = None,
    cron: str | None = None,
    timezone: str | None = None,
    grace_seconds: int | None = None,
    request: JsonObject | None = None,
    conditions: JsonObject | None = None,
    severity: str | None = None,
    enabled: bool | None = None,
    owner: str | None = None,
    tags: list[str] | None = None,
    description: str | None = None,
) -> JsonObject:
    """Make a check of a URL, of each instance of a service, or of a job that calls.

    `kind` is HTTP, TCP, DNS, TLS, HEARTBEAT or PUSH. A job calls the ``push_url`` of the answer,
    every `interval_seconds` or at the times of `cron` in `timezone`, at most `grace_seconds` late.
    Raises: ValidationError, ConflictError.
    """
    return await CHECKS.call(hub, "POST", locals())


async def update_check(
    hub: Hub,
    check_id: str,
    name: str | None = None,
    *,
    url: str | None = None,
    interval_seconds: int | None = None,
    timeout_seconds: int | None = None,
    retry_seconds: int | None = None,
    failure_threshold: int | None = None,
    success_threshold: int | None = None,
    cron: str | None = None,
    timezone: str | None = None,
    grace_seconds: int | None = None,
    request: JsonObject | None = None,
    conditions: JsonObject | None = None,
    severity: str | None = None,
    enabled: bool | None = None,
    owner: str | None = None,
    tags: list[str] | None = None,
    description: str | None = None,
) -> JsonObject:
    """Change what is given of a check, and leave the rest.

    `cron`, read in the zone of `timezone`, and `grace_seconds` are of a check that a job calls.
    Raises: ResourceNotFoundError, ValidationError.
    """
    return await CHECKS.call(hub, "PATCH /{check_id}", locals())


async def delete_check(hub: Hub, check_id: str) -> JsonObject:
    """Remove a check with all that it saw. Answers ``{"id", "deleted"}``.

    Raises: ResourceNotFoundError, ConflictError for one that the hub made itself.
    """
    return await CHECKS.delete(hub, "/{check_id}", locals())


async def get_check(hub: Hub, check_id: str) -> JsonObject:
    """A check by its id or name, and how it is. Raises: ResourceNotFoundError."""
    return await CHECKS.call(hub, "GET /{check_id}", locals())


async def get_checks(
    hub: Hub,
    kind: str | None = None,
    *,
    service: str | None = None,
    enabled: bool | None = None,
    search: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the checks. Raises: ValidationError."""
    return await CHECKS.call(hub, "GET", locals())


async def run_check(hub: Hub, check_id: str) -> JsonObject:
    """Look now, and answer what was seen; it is not recorded.

    Raises: ResourceNotFoundError, ConflictError for one that a job calls.
    """
    options = {"is_question": True, "wait_seconds": LONGEST_RUN_SECONDS}
    return await CHECKS.call(hub, "POST /{check_id}/run", {"check_id": check_id}, **options)


async def rotate_check_token(hub: Hub, check_id: str) -> JsonObject:
    """Give a job another ``push_url`` to call; the one before is known no more.

    Raises: ResourceNotFoundError, ConflictError for one that no job calls.
    """
    return await CHECKS.call(hub, "POST /{check_id}/rotate-token", locals())


async def pause_check(hub: Hub, check_id: str) -> JsonObject:
    """Look at nothing until it is resumed. Raises: ResourceNotFoundError, ConflictError."""
    return await CHECKS.call(hub, "POST /{check_id}/pause", locals())


async def resume_check(hub: Hub, check_id: str) -> JsonObject:
    """Look at it again, within seconds. Raises: ResourceNotFoundError, ConflictError."""
    return await CHECKS.call(hub, "POST /{check_id}/resume", locals())


async def get_check_results(
    hub: Hub,
    check_id: str,
    outcome: str | None = None,
    *,
    page: int | None = None,
    per_page: int | None = None,
    cursor: str | None = None,
) -> JsonObject:
    """One page of what was seen, the latest first. Raises: ResourceNotFoundError."""
    return await CHECKS.call(hub, "GET /{check_id}/results", locals())


async def get_check_response_times(
    hub: Hub, check_id: str, window: str | None = None
) -> JsonObject:
    """How fast what a check looks at answered: `points` with percentiles, and `events` meanwhile.

    `window` is 1h, 24h (as without one) or 7d.
    Raises: ResourceNotFoundError, ValidationError.
    """
    return await CHECKS.call(hub, "GET /{check_id}/response-times", locals())


async def preview_check(
    hub: Hub,
    status: int,
    body: str | None = None,
    *,
    headers: JsonObject | None = None,
    latency_ms: float | None = None,
    conditions: JsonObject | None = None,
) -> JsonObject:
    """Say how an answer of HTTP would be judged; nothing is asked or stored.

    Raises: ValidationError.
    """
    return await PREVIEW.call(hub, "POST", locals(), is_question=True)
