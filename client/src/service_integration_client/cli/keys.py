"""API keys: issued with their text once, seen without it, revoked."""

from __future__ import annotations

from typing import Any

import click

from service_integration_client.cli.commands import (
    SEARCH,
    age_of,
    fields,
    list_command,
    order_command,
    status_of,
)
from service_integration_client.cli.session import Session, hub_command, hub_group


@hub_group()
def keys() -> None:
    """The keys with which programs and people call the API."""


list_command(
    keys, "get_api_keys", "Keys by name, without their texts.",
    {
        "NAME": "name", "BEGINS": "prefix", "ROLE": "role", "STATE": status_of("state"),
        "EXPIRES": "expires_at", "USED": age_of("last_used_at"), "NETWORKS": "networks",
    },
    click.option("--role", help="Such as VIEWER or SERVICE."),
    click.option("--state", help="USABLE, EXPIRED or REVOKED."),
    SEARCH,
)  # fmt: skip
order_command(keys, "show", "get_api_key", "One key without its text, by id or name.")
order_command(keys, "revoke", "revoke_api_key", "Refuse a key from now on, for good.")
order_command(keys, "delete", "delete_api_key", "Forget a key.")


@hub_command(keys, "create")
@click.argument("name")
@click.option("--role", help="Such as SERVICE or WORKFLOW_EDITOR.")
@click.option("--scope", "scopes", multiple=True, help="Instead of those of a role; several times.")
@click.option("--network", "networks", multiple=True, help="Such as 10.0.0.0/8; several times.")
@click.option("--expires-at", help="An ISO 8601 time.")
def create(
    session: Session,
    name: str,
    scopes: tuple[str, ...],
    networks: tuple[str, ...],
    **given: Any,
) -> None:
    """Issue a key. Its text is shown this once."""
    made = session.client.create_api_key(
        name, scopes=list(scopes) or None, networks=list(networks) or None, **given
    )
    session.show(made, fields)
