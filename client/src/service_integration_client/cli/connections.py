"""Connections, and the credentials that they use: seen, tested, switched off, rotated."""

from __future__ import annotations

from typing import Any

import click

from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.options import REASON, SEARCH, file_option
from service_integration_client.cli.session import Session
from service_integration_client.cli.tables import age_of, seconds, status, status_of, table

connections = HubGroup(
    "connections", help="What the hub talks to besides services: APIs, databases, brokers, caches."
)
connections.add_list(
    "get_connections", "Connections by name.",
    {
        "NAME": "name", "TYPE": "type", "STATUS": status_of(), "ADDRESS": "address",
        "CREDENTIAL": "credential", "CHECKED": age_of("last_checked_at"), "ERROR": "last_error",
    },
    click.option("--status", help="PENDING, CONNECTED, DEGRADED, ERROR or DISABLED."),
    click.option("--type", help="HTTP, GRAPHQL, WEBHOOK, DATABASE, MESSAGE_BROKER or CACHE."),
    click.option("--credential", help="The name or id of the credential that they use."),
    SEARCH,
)  # fmt: skip
connections.add_operation("show", "get_connection", "One connection, by id or name.")
connections.add_operation("disable", "disable_connection", "Refuse calls through it.", REASON)
connections.add_operation("enable", "enable_connection", "Let calls through it again.")


@connections.command("test")
@click.argument("connection")
def test_connection(session: Session, connection: str) -> None:
    """Ask what a connection leads to, now. Exits with 1 when it does not answer well."""
    result = session.client.test_connection(connection)
    session.show(result, _test_result)
    if not result["success"]:
        session.fail()


def _test_result(result: dict[str, Any]) -> Any:
    took = result.get("took_ms")
    return table(
        ("", ""),
        (
            ("tried", result["tried"]), ("answered", result["answered"]),
            ("took", seconds(None if took is None else took / 1000)),
            ("status", status(result["status"])),
            *((("what to do", result["advice"]),) if result.get("advice") else ()),
        ),
    )  # fmt: skip


credentials = HubGroup(
    "credentials", help="What the hub proves itself with. Secrets are set, and never shown."
)
credentials.add_list(
    "get_credentials", "Credentials by name.",
    {
        "NAME": "name", "TYPE": "type", "STATE": status_of("state"),
        "SENT TO": "allowed_origins", "EXPIRES": "expires_at", "ROTATED": age_of("rotated_at"),
        "USED": age_of("last_used_at"),
    },
    click.option("--type", help="API_KEY, BEARER_TOKEN, BASIC_AUTH, HMAC_SIGNATURE ..."),
    click.option("--expiring", type=float, help="Those that end within so many days."),
    SEARCH,
)  # fmt: skip
credentials.add_operation("show", "get_credential", "One credential without its secret.")
credentials.add_operation(
    "rotate", "rotate_credential", "Replace the secret of a credential.",
    file_option(
        "--secret-file", "secret", required=True,
        help='JSON with its parts, such as {"token": "..."}; - is standard input.',
    ),
    click.option("--expires-at", help="An ISO 8601 time."),
    click.option("--never-expires", is_flag=True),
)  # fmt: skip
