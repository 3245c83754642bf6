"""Incidents: seen, and decided on."""

from __future__ import annotations

import click

from service_integration_client.cli.commands import age_of, list_command, order_command, status_of
from service_integration_client.cli.session import hub_group


@hub_group()
def incidents() -> None:
    """What is wrong with the hub's surroundings, and what a person decides about it."""


list_command(
    incidents, "get_incidents", "Incidents, the latest first.",
    {
        "ID": "id", "STATUS": status_of(), "SEVERITY": "severity", "SUBJECT": "subject",
        "OPENED": age_of("opened_at"), "CAUSE": "cause",
    },
    click.option("--status", help="OPEN, ACKNOWLEDGED or RESOLVED."),
    click.option("--subject", help="MASS_EXPIRY or DISCOVERY_BACKEND."),
)  # fmt: skip
order_command(incidents, "show", "get_incident", "One incident.")
order_command(incidents, "acknowledge", "acknowledge_incident", "Say that you see to it.")
order_command(incidents, "expire", "expire_suspects", "Take silent instances offline now.")
order_command(incidents, "keep", "keep_suspects", "Take silent instances to be alive for an hour.")
