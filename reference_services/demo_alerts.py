"""The part of the demo that has its alerts arrive somewhere: a channel to the mailbox."""

from __future__ import annotations

from reference_services.console import say
from reference_services.mailbox import HOOK, KEY
from service_integration_client import AsyncServiceIntegrationClient, ResourceNotFoundError

CHANNEL = "demo-mailbox"
SERVICE = "mailbox"
# Quicker than one would be told in earnest, for a person who looks on.
GROUP_WAIT_SECONDS = 5
GROUP_INTERVAL_SECONDS = 15


async def keep_mailbox_channel(client: AsyncServiceIntegrationClient) -> None:
    """See to it that alerts are told to where the mailbox listens now."""
    url = str((await client.get_service(SERVICE))["url"]).rstrip("/")
    config = {"url": f"{url}{HOOK}"}
    try:
        channel = await client.get_alert_channel(CHANNEL)
    except ResourceNotFoundError:
        await client.create_alert_channel(
            CHANNEL,
            "WEBHOOK",
            config=config,
            secret={"key": KEY},
            description="Read what came at the address of the service 'mailbox'.",
            group_wait_seconds=GROUP_WAIT_SECONDS,
            group_interval_seconds=GROUP_INTERVAL_SECONDS,
        )
        say(f"Alerts are told to the mailbox: open {url}/ in a browser")
        return
    if channel["config"] != config:
        await client.update_alert_channel(CHANNEL, config=config)
