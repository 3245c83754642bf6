"""Policies of escalation: seen, made and removed."""

from __future__ import annotations

from typing import Any

import click

from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.options import SEARCH
from service_integration_client.cli.session import Session
from service_integration_client.cli.tables import fields_of

escalations = HubGroup("escalations", help="Who else is told of what nobody sees to.")
escalations.add_list(
    "get_escalation_policies", "Policies by name.",
    {
        "NAME": "name", "ENABLED": "enabled", "FROM": "min_severity", "SERVICES": "services",
        "LEVELS": lambda row: _levels_of(row),
    },
    SEARCH,
)  # fmt: skip
escalations.add_operation("show", "get_escalation_policy", "One policy, by id or name.")
escalations.add_operation("delete", "delete_escalation_policy", "Remove a policy.")


@escalations.command("create")
@click.argument("name")
@click.argument("levels", nargs=-1, required=True, metavar="MINUTES:CHANNEL,CHANNEL...")
@click.option("--severity", "min_severity", help="WARNING or CRITICAL: from this one on.")
@click.option("--service", "services", multiple=True, help="A name such as pay-*; repeatable.")
@click.option("--tag", "tags", multiple=True, help="Services with that tag; repeatable.")
def create_policy(session: Session, name: str, levels: tuple[str, ...], **fields: Any) -> None:
    """Tell channels of what nobody sees to: 10:second-line 30:boss,phone."""
    given = {key: list(each) if isinstance(each, tuple) else each for key, each in fields.items()}
    kept: dict[str, Any] = {key: each for key, each in given.items() if each}
    read = [_level_of(each) for each in levels]
    session.show(session.client.create_escalation_policy(name, read, **kept), fields_of)


def _level_of(text: str) -> dict[str, Any]:
    minutes, _, names = text.partition(":")
    if not minutes.strip().isdigit() or not names.strip():
        raise click.BadParameter(f"{text} is no level: write 10:boss,phone.")
    channels = [name.strip() for name in names.split(",") if name.strip()]
    return {"after_minutes": int(minutes), "channels": channels}


def _levels_of(row: dict[str, Any]) -> str:
    return " ".join(
        f"{each['after_minutes']}:{','.join(each['channels'])}" for each in row["levels"]
    )
