"""Connections, and the credentials that they use: seen, tested, switched off, rotated."""

from __future__ import annotations

from typing import Any

import click

from service_integration_client.cli import drawing
from service_integration_client.cli.commands import (
    REASON,
    SEARCH,
    age_of,
    fields,
    list_command,
    order_command,
    read_object,
    status_of,
)
from service_integration_client.cli.session import Session, hub_command, hub_group


@hub_group()
def connections() -> None:
    """What the hub talks to besides services: APIs, databases, brokers, caches."""


list_command(
    connections, "get_connections", "Connections by name.",
    {
        "NAME": "name", "TYPE": "type", "STATUS": status_of(), "ADDRESS": "address",
        "CREDENTIAL": "credential", "CHECKED": age_of("last_checked_at"), "ERROR": "last_error",
    },
    click.option("--status", help="PENDING, CONNECTED, DEGRADED, ERROR or DISABLED."),
    click.option("--type", help="HTTP, GRAPHQL, WEBHOOK, DATABASE, MESSAGE_BROKER or CACHE."),
    click.option("--credential", help="The name or id of the credential that they use."),
    SEARCH,
)  # fmt: skip
order_command(connections, "show", "get_connection", "One connection, by id or name.")
order_command(connections, "disable", "disable_connection", "Refuse calls through it.", REASON)
order_command(connections, "enable", "enable_connection", "Let calls through it again.")


@hub_command(connections, "test")
@click.argument("connection")
def test_connection(session: Session, connection: str) -> None:
    """Ask what a connection leads to, now. Exits with 1 when it does not answer well."""
    found = session.client.test_connection(connection)
    session.show(found, _trial)
    if not found["success"]:
        session.fail()


def _trial(found: dict[str, Any]) -> Any:
    took = found.get("took_ms")
    return drawing.table(
        ("", ""),
        (
            ("tried", found["tried"]), ("answered", found["answered"]),
            ("took", drawing.seconds(None if took is None else took / 1000)),
            ("status", drawing.status(found["status"])),
            *((("what to do", found["advice"]),) if found.get("advice") else ()),
        ),
    )  # fmt: skip


@hub_group()
def credentials() -> None:
    """What the hub proves itself with. Secrets are set, and never shown."""


list_command(
    credentials, "get_credentials", "Credentials by name.",
    {
        "NAME": "name", "TYPE": "type", "STATE": status_of("state"),
        "SENT TO": "allowed_origins", "EXPIRES": "expires_at", "ROTATED": age_of("rotated_at"),
        "USED": age_of("last_used_at"),
    },
    click.option("--type", help="API_KEY, BEARER_TOKEN, BASIC_AUTH, HMAC_SIGNATURE ..."),
    click.option("--expiring", type=float, help="Those that end within so many days."),
    SEARCH,
)  # fmt: skip
order_command(credentials, "show", "get_credential", "One credential without its secret.")


@hub_command(credentials, "rotate")
@click.argument("credential")
@click.option(
    "--secret-file", type=click.File(), required=True,
    help='JSON with its parts, such as {"token": "..."}; - is standard input.',
)  # fmt: skip
@click.option("--expires-at", help="An ISO 8601 time.")
@click.option("--never-expires", is_flag=True)
def rotate(
    session: Session, credential: str, secret_file: Any, expires_at: str | None, never_expires: bool
) -> None:
    """Replace the secret of a credential."""
    found = session.client.rotate_credential(
        credential,
        read_object(secret_file.read(), "--secret-file"),
        expires_at=expires_at,
        never_expires=never_expires,
    )
    session.show(found, fields)
