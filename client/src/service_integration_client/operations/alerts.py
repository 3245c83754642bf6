"""Alert channels: who is told of incidents where; and the messages that they were sent."""

from __future__ import annotations

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

CHANNELS = Collection("/monitoring/channels", "alert channel")
DELIVERIES = Collection("/monitoring/deliveries", "alert message")
# The longest that the hub waits for the receiver of a test.
LONGEST_TEST_SECONDS = 15.0


async def create_alert_channel(
    hub: Hub,
    name: str,
    type: str,
    *,
    config: JsonObject | None = None,
    secret: JsonObject | None = None,
    min_severity: str | None = None,
    subjects: list[str] | None = None,
    services: list[str] | None = None,
    tags: list[str] | None = None,
    enabled: bool | None = None,
    only_escalated: bool | None = None,
    send_resolved: bool | None = None,
    group_wait_seconds: int | None = None,
    group_interval_seconds: int | None = None,
    repeat_seconds: int | None = None,
    per_minute: int | None = None,
    quiet_hours: list[str] | None = None,
    quiet_timezone: str | None = None,
    quiet_min_severity: str | None = None,
    description: str | None = None,
) -> JsonObject:
    """Make a channel, such as of the type SLACK, EMAIL or WEBHOOK.

    Raises: ValidationError, ConflictError.
    """
    return await CHANNELS.call(hub, "POST", locals())


async def update_alert_channel(
    hub: Hub,
    channel_id: str,
    name: str | None = None,
    *,
    config: JsonObject | None = None,
    secret: JsonObject | None = None,
    min_severity: str | None = None,
    subjects: list[str] | None = None,
    services: list[str] | None = None,
    tags: list[str] | None = None,
    enabled: bool | None = None,
    only_escalated: bool | None = None,
    send_resolved: bool | None = None,
    group_wait_seconds: int | None = None,
    group_interval_seconds: int | None = None,
    repeat_seconds: int | None = None,
    per_minute: int | None = None,
    quiet_hours: list[str] | None = None,
    quiet_timezone: str | None = None,
    quiet_min_severity: str | None = None,
    description: str | None = None,
) -> JsonObject:
    """Change what is given of a channel, and leave the rest; a secret replaces the old one.

    Raises: ResourceNotFoundError, ValidationError, ConflictError when the name is taken.
    """
    return await CHANNELS.call(hub, "PATCH /{channel_id}", locals())


async def delete_alert_channel(hub: Hub, channel_id: str) -> JsonObject:
    """Remove a channel with its messages. Answers ``{"id", "deleted"}``.

    Raises: ResourceNotFoundError.
    """
    return await CHANNELS.delete(hub, "/{channel_id}", locals())


async def get_alert_channel(hub: Hub, channel_id: str) -> JsonObject:
    """A channel by its id or name. Raises: ResourceNotFoundError."""
    return await CHANNELS.call(hub, "GET /{channel_id}", locals())


async def get_alert_channels(
    hub: Hub,
    type: str | None = None,
    *,
    enabled: bool | None = None,
    search: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the channels. Raises: ValidationError."""
    return await CHANNELS.call(hub, "GET", locals())


async def test_alert_channel(hub: Hub, channel_id: str) -> JsonObject:
    """Send a test message now; `state` says whether it was taken, `response` why not.

    Raises: ResourceNotFoundError.
    """
    options = {"is_question": True, "wait_seconds": LONGEST_TEST_SECONDS}
    arguments = {"channel_id": channel_id}
    return await CHANNELS.call(hub, "POST /{channel_id}/test", arguments, **options)


async def get_alert_messages(
    hub: Hub,
    state: str | None = None,
    *,
    channel: str | None = None,
    reason: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
    cursor: str | None = None,
) -> JsonObject:
    """One page of the messages, the latest first.

    `state` is PENDING, SENDING, SENT or DEAD, `reason` FIRING, REPEAT, ESCALATION,
    RESOLVED, DIGEST or TEST.
    Raises: ValidationError.
    """
    return await DELIVERIES.call(hub, "GET", locals())


async def get_alert_message(hub: Hub, message_id: str) -> JsonObject:
    """A message, and how it went. Raises: ResourceNotFoundError."""
    return await DELIVERIES.call(hub, "GET /{message_id}", locals())


async def retry_alert_message(hub: Hub, message_id: str) -> JsonObject:
    """Send a message that was given up once more.

    Raises: ResourceNotFoundError, ConflictError when it was not given up.
    """
    return await DELIVERIES.call(hub, "POST /{message_id}/retry", locals())
