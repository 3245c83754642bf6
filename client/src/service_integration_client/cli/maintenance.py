"""Windows of maintenance: seen, planned, called for at once, and ended."""

from __future__ import annotations

from typing import Any

import click

from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.options import SEARCH
from service_integration_client.cli.session import Session
from service_integration_client.cli.tables import fields_of, status_of

maintenance = HubGroup(
    "maintenance", help="Windows in which services are worked on, and nobody is called."
)
maintenance.add_list(
    "get_maintenance_windows", "Windows by name.",
    {
        "NAME": "name", "STATUS": status_of(), "FROM": "starts_at", "TO": "ends_at",
        "CRON": "cron", "MINUTES": "duration_minutes", "ZONE": "timezone",
    },
    click.option("--status", help="SCHEDULED, IN_PROGRESS, COMPLETED or CANCELLED."),
    SEARCH,
)  # fmt: skip
maintenance.add_operation("show", "get_maintenance_window", "One window, by id or name.")
maintenance.add_operation("finish", "finish_maintenance", "End what is under way.")
maintenance.add_operation(
    "extend", "extend_maintenance", "Let what is under way end later.",
    click.argument("minutes", type=int),
)  # fmt: skip
maintenance.add_operation(
    "cancel", "cancel_maintenance", "Call it off for good.",
    click.option("--reason", help="Why nothing comes of it."),
)  # fmt: skip
maintenance.add_operation("delete", "delete_maintenance_window", "Remove a window with its times.")


@maintenance.command("plan")
@click.argument("name")
@click.option("--service", "services", multiple=True, help="A name such as pay-*; repeatable.")
@click.option("--tag", "tags", multiple=True, help="Services with that tag; repeatable.")
@click.option("--type", "types", multiple=True, help="Services of that type; repeatable.")
@click.option("--everything", is_flag=True, default=None, help="Every service, and the hub.")
@click.option("--from", "starts_at", help="An ISO 8601 time.")
@click.option("--to", "ends_at", help="An ISO 8601 time.")
@click.option("--cron", help='When it recurs, such as "0 2 * * 0".')
@click.option("--minutes", "duration_minutes", type=int, help="How long each time lasts.")
@click.option("--zone", "timezone", help="In which cron is read, such as Europe/Berlin.")
@click.option("--public", is_flag=True, default=None, help="Shown on status pages.")
def plan_window(session: Session, name: str, **fields: Any) -> None:
    """Plan a window: once --from and --to, or by --cron for --minutes."""
    given: dict[str, Any] = {
        key: list(each) if isinstance(each, tuple) else each for key, each in fields.items()
    }
    kept = {key: value for key, value in given.items() if value not in ([], None)}
    session.show(session.client.plan_maintenance(name, **kept), fields_of)


@maintenance.command("now")
@click.argument("services", nargs=-1, required=True)
@click.option("--minutes", type=int, required=True, help="How long.")
@click.option("--reason", help="What is done.")
def begin_now(session: Session, services: tuple[str, ...], minutes: int, reason: str) -> None:
    """Put services under maintenance at once: they are checked on, and nobody is called."""
    made = session.client.begin_maintenance(list(services), minutes, reason=reason)
    session.show(made, fields_of)
