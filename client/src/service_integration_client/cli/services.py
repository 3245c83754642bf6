"""Services: listed, discovered, registered, called, and their health."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Group

from service_integration_client.cli.groups import HubCommand, HubGroup
from service_integration_client.cli.options import (
    SEARCH,
    file_option,
    read_pairs,
    takes_input,
    values_option,
)
from service_integration_client.cli.session import Session, rows_of
from service_integration_client.cli.tables import Columns, ago, rows_as, status, status_of, table
from service_integration_client.cli.timeline import read_time

services = HubGroup("services", help="The services that the hub knows.")
COLUMNS: Columns = {
    "NAME": "name", "TYPE": "type", "STATUS": status_of(),
    "VERSION": lambda row: row.get("version") or "-",
    "INSTANCES": lambda row: len(row.get("instances") or ()), "URL": "url",
}  # fmt: skip
services.add_list(
    "get_services", "Services by name.", COLUMNS,
    click.option("--status", help="ONLINE, DEGRADED, OFFLINE, MAINTENANCE, UNKNOWN or PENDING."),
    click.option("--type", help="Such as PLANNING_SYSTEM."),
    click.option("--tag"),
    click.option("--action", help="An action that they have."),
    SEARCH,
)  # fmt: skip


def _maintenance(service: dict[str, Any]) -> list[tuple[str, Any]]:
    window = service.get("maintenance")
    if not window:
        return []
    end = f"until {window['until']}" if window.get("until") else "until it is ended"
    actor = f"by {window['by']}" if window.get("by") else ""
    return [("maintenance", ", ".join(part for part in (window.get("reason"), actor, end) if part))]


def _sign_of_life(instance: dict[str, Any]) -> str:
    """Return the last heartbeat or registration, or the last good answer if that came later."""
    beaten = read_time(instance.get("last_heartbeat"))
    answered = read_time(instance.get("last_answer"))
    if answered and (not beaten or answered > beaten):
        return f"answered {ago(instance['last_answer'])}"
    return ago(instance.get("last_heartbeat"))


def _service(service: dict[str, Any]) -> Any:
    about = [
        ("status", status(service["status"])), ("type", service["type"]),
        ("description", service.get("description")), ("version", service.get("version")),
        ("tags", service.get("tags")), ("owner", service.get("owner")),
        *_maintenance(service),
    ]  # fmt: skip
    instances = (
        (i["url"], status(i["status"]), i.get("zone"), _sign_of_life(i))
        for i in service.get("instances") or ()
    )
    actions = (
        (a["name"], f"{a.get('method', '')} {a.get('path', '')}", a.get("description"))
        for a in service.get("actions") or ()
    )
    return Group(
        table((service["name"], ""), about), "",
        table(("INSTANCE", "STATUS", "ZONE", "SIGN OF LIFE"), instances), "",
        table(("ACTION", "REQUEST", "DOES"), actions),
    )  # fmt: skip


services.add_operation(
    "show", "get_service",
    "One service with its instances and actions, by id or name.", render=_service,
)  # fmt: skip


@services.command("register")
@click.argument("name")
@click.argument("address")
@click.option("--health-url", help="What answers 200 while it is well.")
@click.option("--type", help="Such as PLANNING_SYSTEM.")
@click.option("--description")
@click.option("--version")
@click.option("--tag", "tags", multiple=True, help="Several times.")
@values_option("--metadata", "metadata", help="A value may be JSON.")
@file_option("--actions-file", "actions", help="A JSON list of its actions.", of_list="actions")
@click.option("--ttl", "ttl_seconds", type=int, help="Seconds without a heartbeat to OFFLINE.")
@click.option("--zone")
def register(
    session: Session, name: str, address: str, tags: Any, metadata: Any, actions: Any, **rest: Any
) -> None:
    """Register a service that answers at ADDRESS, or refresh it."""
    service = session.client.register_service(
        name,
        url=address,
        tags=list(tags) or None,
        metadata=metadata or None,
        actions=actions and actions.get("actions"),
        **rest,
    )
    session.show(service, _service)


@services.command("call")
@click.argument("service")
@click.argument("action")
@takes_input
def call(session: Session, service: str, action: str, input_data: Any) -> None:
    """Call an action of a service through the hub, and print its output."""
    session.show(session.client.execute_service_action(service, action, input_data))


@services.command("maintenance")
@click.argument("service")
@click.option("--off", is_flag=True, help="End it: the service is ONLINE again.")
@click.option("--reason", help="Why; everybody sees it.")
@click.option("--until", help="The time, with its offset, at which it ends by itself.")
def maintenance(
    session: Session, service: str, off: bool, reason: str | None, until: str | None
) -> None:
    """Take a service out of discovery until that is ended."""
    if off and until:
        raise click.UsageError("--until says when maintenance ends; --off ends it now.")
    word = "ONLINE" if off else "MAINTENANCE"
    updated = session.client.set_service_status(service, word, reason=reason, until=until)
    session.show(updated, _service)


@services.command("accept")
@click.argument("service")
@click.option("--reason", help="Why, for the audit trail.")
def accept(session: Session, service: str, reason: str | None) -> None:
    """Let a service that waits, or was refused, be discovered and called."""
    session.show(session.client.accept_service(service, reason=reason), _service)


@services.command("refuse")
@click.argument("service")
@click.option("--reason", help="Why, for the audit trail.")
def refuse(session: Session, service: str, reason: str | None) -> None:
    """Refuse a service that waits: it is neither called nor heard."""
    session.show(session.client.refuse_service(service, reason=reason), _service)


@click.command("discover", cls=HubCommand)
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
        metadata=read_pairs(metadata, "--metadata"),
        include_offline=True if offline else None,
        **filters,
    )
    session.show(rows, rows_as(COLUMNS))


@click.command("health", cls=HubCommand)
@click.argument("service", required=False)
def health(session: Session, service: str | None) -> None:
    """How the hub and all it knows are, or one service. Exits with 1 when not well."""
    if service:
        report = session.client.get_service_health(service)
    else:
        report = session.client.get_integration_health()
    session.show(report, _health if service else _system)
    if str(report.get("status", "")).upper() not in ("ONLINE", "OK", "HEALTHY"):
        session.fail()


# A registration counts as the first heartbeat.
_NAMES = {"last_heartbeat": "last heartbeat or registration"}


def _health(report: dict[str, Any]) -> Any:
    rows = [
        (_NAMES.get(name, name), status(value) if name == "status" else value)
        for name, value in report.items()
        if not isinstance(value, (list, dict))
    ]
    if uptime := report.get("uptime"):
        rows.append(("uptime", _uptime(uptime)))
    return table(("", ""), rows)


def _uptime(uptime: dict[str, Any]) -> str:
    if uptime["percent"] is None:
        return "no data yet"
    unwatched = f"; nobody looked for {100 - uptime['coverage']:g} % of the time"
    return f"up {uptime['percent']:g} %{unwatched if uptime['coverage'] < 100 else ''}"


# The worst first, and what nobody knows before what is well.
_BY_NEED = ("OFFLINE", "ERROR", "DEGRADED", "UNKNOWN", "MAINTENANCE", "DISABLED")


def _need(word: str) -> int:
    upper = word.upper()
    return _BY_NEED.index(upper) if upper in _BY_NEED else len(_BY_NEED)


def _system(report: dict[str, Any]) -> Any:
    statuses = report.get("service_statuses") or {}
    words = {
        name: str(entry if isinstance(entry, str) else entry.get("status"))
        for name, entry in statuses.items()
    }
    unwell_first = sorted(words, key=lambda name: (_need(words[name]), name))
    rows = ((name, status(words[name])) for name in unwell_first)
    return Group(_health(report), "", table(("SERVICE", "STATUS"), rows))
