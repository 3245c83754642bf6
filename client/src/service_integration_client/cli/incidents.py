"""Incidents: seen, and decided on."""

from __future__ import annotations

import click

from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.tables import age_of, status_of

incidents = HubGroup(
    "incidents",
    help="What is wrong with the hub's surroundings, and what a person decides about it.",
)
incidents.add_list(
    "get_incidents", "Incidents, the latest first.",
    {
        "ID": "id", "STATUS": status_of(), "SEVERITY": "severity", "SUBJECT": "subject",
        "ABOUT": "about",
        "OPENED": age_of("opened_at"), "CAUSE": "cause",
    },
    click.option("--status", help="OPEN, ACKNOWLEDGED or RESOLVED."),
    click.option("--service", help="The name of a service."),
    click.option("--subject", help="SERVICE_DOWN, CONNECTION_ERROR, SCHEDULE_FAILED ..."),
)  # fmt: skip
incidents.add_operation("show", "get_incident", "One incident.")
incidents.add_operation("acknowledge", "acknowledge_incident", "Say that you see to it.")
incidents.add_operation("expire", "expire_suspects", "Take silent instances offline now.")
incidents.add_operation("keep", "keep_suspects", "Take silent instances to be alive for an hour.")
