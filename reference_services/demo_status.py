"""The part of the demo that shows how things are: a status page, an objective, who needs whom."""

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
# Who is told of one that is down is told of those that cannot do without it in the same breath.
NEEDS = (
    ("web-dashboard", "project-coordinator", "HARD"),
    ("web-dashboard", "agent-orchestrator", "SOFT"),
    ("project-coordinator", "planning-system", "HARD"),
    ("planning-system", "model-orchestration", "SOFT"),
    ("agent-orchestrator", "tool-integration", "SOFT"),
    ("agent-orchestrator", "model-orchestration", "SOFT"),
)


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


async def keep_dependencies(client: AsyncServiceIntegrationClient) -> None:
    """See to it that the map of services shows something, unless somebody said who needs whom."""
    if (await client.get_dependencies(per_page=1))["items"]:
        return
    for service, depends_on, kind in NEEDS:
        await client.create_dependency(service, depends_on, kind=kind)
