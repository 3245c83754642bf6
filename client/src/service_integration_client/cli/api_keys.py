"""API keys: issued with their text once, seen without it, revoked."""

from __future__ import annotations

from typing import Any

import click

from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.options import SEARCH
from service_integration_client.cli.session import Session
from service_integration_client.cli.tables import age_of, fields_of, status_of

keys = HubGroup("keys", help="The keys with which programs and people call the API.")
keys.add_list(
    "get_api_keys", "Keys by name, without their texts.",
    {
        "NAME": "name", "BEGINS": "prefix", "ROLE": "role", "STATE": status_of("state"),
        "EXPIRES": "expires_at", "USED": age_of("last_used_at"), "NETWORKS": "networks",
    },
    click.option("--role", help="Such as VIEWER or SERVICE."),
    click.option("--state", help="USABLE, EXPIRED or REVOKED."),
    SEARCH,
)  # fmt: skip
keys.add_operation("show", "get_api_key", "One key without its text, by id or name.")
keys.add_operation("revoke", "revoke_api_key", "Refuse a key from now on, for good.")
keys.add_operation("delete", "delete_api_key", "Forget a key.")


@keys.command("create")
@click.argument("name")
@click.option("--role", help="Such as SERVICE or WORKFLOW_EDITOR.")
@click.option("--scope", "scopes", multiple=True, help="Instead of those of a role; several times.")
@click.option("--network", "networks", multiple=True, help="Such as 10.0.0.0/8; several times.")
@click.option("--service-name", "service_names", multiple=True, help="Such as billing-*.")
@click.option("--service-type", "service_types", multiple=True, help="Such as PLANNING_SYSTEM.")
@click.option("--requests-per-minute", type=int, help="More are refused; 0: no limit.")
@click.option("--expires-at", help="An ISO 8601 time.")
def create(session: Session, name: str, **fields: Any) -> None:
    """Issue a key. Its text is shown this once."""
    said: dict[str, Any] = {
        key: list(value) or None if isinstance(value, tuple) else value
        for key, value in fields.items()
    }
    key = session.client.create_api_key(name, **said)
    session.show(key, fields_of)
