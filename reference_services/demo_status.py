"""The part of the demo that shows how things are: a status page for everybody, and an objective."""

from __future__ import annotations

from typing import Any

from reference_services.console import say
from service_integration_client import AsyncServiceIntegrationClient, ResourceNotFoundError

PAGE = "demo"
COMPONENTS: list[dict[str, Any]] = [
    {"service": "text-extraction", "name": "Reading documents", "group": "Documents"},
    {"service": "text-summarization", "name": "Summaries", "group": "Documents"},
    {"service": "mailbox", "name": "Mail"},
]
OBJECTIVE = "Summaries are there"
# What the demo stops and lets fail on purpose, so that there is something to see.
WATCHED = "text-summarization"
TARGET_PERCENT = 99.0


async def keep_status_page(client: AsyncServiceIntegrationClient, site: str) -> None:
    """See to it that the page and the objective are there; what a person changed of them stays."""
    try:
        await client.get_slo(OBJECTIVE)
    except ResourceNotFoundError:
        await client.create_slo(OBJECTIVE, WATCHED, target=TARGET_PERCENT)
    try:
        await client.get_status_page(PAGE)
    except ResourceNotFoundError:
        await client.create_status_page(
            PAGE, title="The demo", visibility="PUBLIC", components=COMPONENTS
        )
        say(f"People without a login see how things are: {site}/status/{PAGE}")
