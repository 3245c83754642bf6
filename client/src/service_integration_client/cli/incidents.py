"""Incidents: seen, and decided on."""

from __future__ import annotations

from typing import Any

import click

from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.session import Session
from service_integration_client.cli.tables import age_of, fields_of, status_of

incidents = HubGroup(
    "incidents",
    help="What is wrong with the hub's surroundings, and what a person decides about it.",
)
incidents.add_list(
    "get_incidents", "Incidents, the latest first.",
    {
        "ID": "id", "STATUS": status_of(), "SEVERITY": "severity", "SUBJECT": "subject",
        "ABOUT": "about", "TITLE": "title", "WHOSE": "assigned_to",
        "OPENED": age_of("opened_at"), "CAUSE": "cause",
    },
    click.option("--status", help="OPEN, ACKNOWLEDGED or RESOLVED."),
    click.option("--service", help="The name of a service."),
    click.option("--subject", help="SERVICE_DOWN, CONNECTION_ERROR, SCHEDULE_FAILED ..."),
)  # fmt: skip
incidents.add_operation("show", "get_incident", "One incident.")
incidents.add_history(
    "get_incident_updates", "Its timeline, the latest first.",
    {
        "AT": age_of("at"), "KIND": "kind", "STATUS": "page_status", "BY": "actor",
        "TEXT": "text",
    },
    name="updates",
)  # fmt: skip
incidents.add_operation(
    "acknowledge", "acknowledge_incident", "Say that you see to it.",
    click.option("--until", help="An ISO 8601 time; for good unless given."),
)  # fmt: skip
incidents.add_operation("unacknowledge", "unacknowledge_incident", "Say that you do not any more.")
incidents.add_operation(
    "assign", "assign_incident", "Say whose it is.",
    click.argument("to", metavar="NAME"),
)  # fmt: skip
incidents.add_operation(
    "describe", "describe_incident", "Change its severity or impact, and what status pages say.",
    click.option("--severity", help="WARNING or CRITICAL."),
    click.option("--impact", help="NONE, MINOR, MAJOR or CRITICAL."),
    click.option("--title", help="What status pages call it."),
    click.option("--public/--private", default=None, help="Whether status pages show it."),
)  # fmt: skip
incidents.add_operation(
    "update", "add_incident_update", "Add a note to its timeline, or how far it is.",
    click.argument("text"),
    click.option("--page-status", help="INVESTIGATING, IDENTIFIED, MONITORING, RESOLVED ..."),
    click.option("--public", is_flag=True, default=None, help="Shown on status pages."),
)  # fmt: skip
incidents.add_operation(
    "merge", "merge_incident", "Make it a part of another.",
    click.argument("into", metavar="OTHER"),
)  # fmt: skip
incidents.add_operation(
    "resolve", "resolve_incident", "End it by your word.",
    click.option("--resolution", help="How it ended."),
)  # fmt: skip
incidents.add_operation(
    "silence", "silence_incident", "Have nobody told of its kind about the same for a while.",
    click.argument("minutes", type=int),
    click.option("--comment", help="Why."),
)  # fmt: skip
incidents.add_operation("expire", "expire_suspects", "Take silent instances offline now.")
incidents.add_operation("keep", "keep_suspects", "Take silent instances to be alive for an hour.")


@incidents.command("open")
@click.argument("title")
@click.option("--text", help="What is wrong.")
@click.option("--service", help="The name of the service that it is about.")
@click.option("--severity", help="WARNING or CRITICAL.")
@click.option("--impact", help="NONE, MINOR, MAJOR or CRITICAL.")
@click.option("--public", is_flag=True, default=None, help="Shown on status pages.")
def open_incident(session: Session, title: str, **fields: Any) -> None:
    """Open an incident by hand; it ends by a person's word."""
    session.show(session.client.open_incident(title, **fields), fields_of)
