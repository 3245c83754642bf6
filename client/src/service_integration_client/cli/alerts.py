"""Alert channels and their messages: seen, tested, sent again."""

from __future__ import annotations

from typing import Any

import click

from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.options import SEARCH
from service_integration_client.cli.session import Session
from service_integration_client.cli.tables import age_of, status, status_of, table

alerts = HubGroup("alerts", help="Who is told of incidents where, and what was told.")
alerts.add_list(
    "get_alert_channels", "Channels by name.",
    {
        "NAME": "name", "TYPE": "type", "STATUS": status_of(), "FROM": "min_severity",
        "SERVICES": "services", "LAST": age_of("last_sent_at"), "ERROR": "last_error",
    },
    click.option("--type", help="EMAIL, WEBHOOK, SLACK, TEAMS, DISCORD, TELEGRAM, NTFY ..."),
    SEARCH,
)  # fmt: skip
alerts.add_operation("show", "get_alert_channel", "One channel, by id or name.")
alerts.add_list(
    "get_alert_messages", "Messages, the latest first.",
    {
        "ID": "id", "STATE": status_of("state"), "CHANNEL": "channel", "TITLE": "title",
        "WHEN": age_of("created_at"), "ANSWER": "response",
    },
    click.option("--state", help="PENDING, SENDING, SENT or DEAD."),
    click.option("--channel", help="The name of a channel."),
    name="messages",
)  # fmt: skip
alerts.add_operation("retry", "retry_alert_message", "Send a message that was given up again.")


@alerts.command("test")
@click.argument("channel")
def test_channel(session: Session, channel: str) -> None:
    """Send a test message now. Exits with 1 when it is not taken."""
    sent = session.client.test_alert_channel(channel)
    session.show(sent, _test_result)
    if sent["state"] != "SENT":
        session.fail()


def _test_result(sent: dict[str, Any]) -> Any:
    rows = [("state", status(sent["state"])), ("answered", sent["response"] or "it was taken")]
    return table(("", ""), rows)
