"""The part of the demo that has the hub look at things: two checks of example services."""

from __future__ import annotations

from reference_services.console import say
from service_integration_client import AsyncServiceIntegrationClient, ResourceNotFoundError

HTTP_CHECK = "demo-summarization"
TCP_CHECK = "demo-mailbox-port"
# Oftener than one would look in earnest, for a person who looks on.
INTERVAL_SECONDS = 15


async def keep_checks(client: AsyncServiceIntegrationClient) -> None:
    """See to it that there is a check by what an answer says, and one by a connection."""
    try:
        await client.get_check(HTTP_CHECK)
    except ResourceNotFoundError:
        await client.create_check(
            HTTP_CHECK,
            "HTTP",
            service="text-summarization",
            request={"path": "/health"},
            conditions={"json": ["body.status == 'healthy'"], "max_latency_ms": 2000},
            interval_seconds=INTERVAL_SECONDS,
            description="Well when its health says so, within two seconds.",
        )
        say(f"The hub looks at text-summarization: see the check {HTTP_CHECK}")
    try:
        await client.get_check(TCP_CHECK)
    except ResourceNotFoundError:
        await client.create_check(
            TCP_CHECK,
            "TCP",
            service="mailbox",
            interval_seconds=INTERVAL_SECONDS,
            severity="WARNING",
            description="Well when its port takes connections.",
        )
