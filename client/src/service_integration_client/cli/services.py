"""Services: listed, found, asked how they are."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Group

from service_integration_client.cli import drawing
from service_integration_client.cli.commands import (
    SEARCH,
    Columns,
    list_command,
    order_command,
    rows_as,
    status_of,
)
from service_integration_client.cli.session import Session, hub_command, pairs, rows_of


@click.group()
def services() -> None:
    """The services that the hub knows."""


COLUMNS: Columns = {
    "NAME": "name", "TYPE": "type", "STATUS": status_of(),
    "VERSION": lambda row: row.get("version") or "-",
    "INSTANCES": lambda row: len(row.get("instances") or ()), "URL": "url",
}  # fmt: skip
list_command(
    services, "get_services", "Services by name.", COLUMNS,
    click.option("--status", help="ONLINE, DEGRADED, OFFLINE, MAINTENANCE or UNKNOWN."),
    click.option("--type", help="Such as PLANNING_SYSTEM."),
    click.option("--tag"),
    click.option("--action", help="An action that they have."),
    SEARCH,
)  # fmt: skip


def _service(found: dict[str, Any]) -> Any:
    about = [
        ("status", drawing.status(found["status"])), ("type", found["type"]),
        ("description", found.get("description")), ("version", found.get("version")),
        ("tags", found.get("tags")), ("owner", found.get("owner")),
    ]  # fmt: skip
    instances = (
        (i["url"], drawing.status(i["status"]), i.get("zone"), drawing.ago(i.get("last_heartbeat")))
        for i in found.get("instances") or ()
    )
    actions = (
        (a["name"], f"{a.get('method', '')} {a.get('path', '')}", a.get("description"))
        for a in found.get("actions") or ()
    )
    return Group(
        drawing.table((found["name"], ""), about), "",
        drawing.table(("INSTANCE", "STATUS", "ZONE", "HEARTBEAT"), instances), "",
        drawing.table(("ACTION", "REQUEST", "DOES"), actions),
    )  # fmt: skip


order_command(
    services, "show", "get_service",
    "One service with its instances and actions, by id or name.", render=_service,
)  # fmt: skip


def add_discover(root: click.Group) -> None:
    """Add `discover` and `health`, which stand by themselves."""
    root.add_command(discover)
    root.add_command(health)


_root = click.Group()


@hub_command(_root, "discover")
@click.argument("type_", metavar="[TYPE]", required=False)
@click.option("--name")
@click.option("--tag")
@click.option("--action")
@click.option("--zone")
@click.option("--metadata", multiple=True, metavar="KEY=VALUE")
@click.option("--offline", is_flag=True, help="Also those that cannot be called now.")
@click.option("--one", is_flag=True, help="The one that the hub would call now.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
def discover(
    session: Session,
    type_: str | None,
    metadata: tuple[str, ...],
    offline: bool,
    one: bool,
    limit: int,
    **filters: Any,
) -> None:
    """Healthy services that fit."""
    if one:
        if not type_:
            raise click.UsageError("--one needs a TYPE, such as PLANNING_SYSTEM.")
        session.show(session.client.find_service(type_), _service)
        return
    rows, _ = rows_of(
        session.client.discover,
        limit=limit,
        type=type_,
        metadata=pairs(metadata, "--metadata"),
        include_offline=True if offline else None,
        **filters,
    )
    session.show(rows, rows_as(COLUMNS))


@hub_command(_root, "health")
@click.argument("service", required=False)
def health(session: Session, service: str | None) -> None:
    """How the hub and all it knows are, or one service. Exits with 1 when not well."""
    if service:
        found = session.client.get_service_health(service)
        session.show(found, _health)
    else:
        found = session.client.get_integration_health()
        session.show(found, _system)
    if str(found.get("status", "")).upper() not in ("ONLINE", "OK", "HEALTHY"):
        session.fail()


def _health(found: dict[str, Any]) -> Any:
    shown = (
        (name, drawing.status(value) if name == "status" else value)
        for name, value in found.items()
        if not isinstance(value, (list, dict))
    )
    return drawing.table(("", ""), shown)


def _system(found: dict[str, Any]) -> Any:
    statuses = found.get("service_statuses") or {}
    rows = (
        (name, drawing.status(said if isinstance(said, str) else said.get("status")))
        for name, said in sorted(statuses.items())
    )
    return Group(_health(found), "", drawing.table(("SERVICE", "STATUS"), rows))
