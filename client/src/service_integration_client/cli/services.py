"""Services: listed, found, asked how they are."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Group

from service_integration_client.cli import drawing
from service_integration_client.cli.session import Session, hub_command, pairs, rows_of


@click.group()
def services() -> None:
    """The services that the hub knows."""


@hub_command(services, "list")
@click.option("--status", help="ONLINE, DEGRADED, OFFLINE, MAINTENANCE or UNKNOWN.")
@click.option("--type", "type_", help="Such as PLANNING_SYSTEM.")
@click.option("--tag")
@click.option("--action", help="An action that they have.")
@click.option("--search")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
def list_services(session: Session, limit: int, type_: str | None, **filters: Any) -> None:
    """Services by name."""
    session.show_list(session.client.get_services, _table, limit=limit, type=type_, **filters)


@hub_command(services, "show")
@click.argument("service")
def show_service(session: Session, service: str) -> None:
    """One service with its instances and actions, by id or name."""
    session.show(session.client.get_service(service), _service)


def _table(rows: list[Any]) -> Any:
    columns = ("NAME", "TYPE", "STATUS", "VERSION", "INSTANCES", "URL")
    return drawing.table(
        columns,
        (
            (s["name"], s["type"], drawing.status(s["status"]), s.get("version") or "-",
             len(s.get("instances") or ()), s.get("url"))
            for s in rows
        ),
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
    session.show(rows, _table)


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
