"""Services: listed, found, asked how they are."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Group

from service_integration_client.cli import drawing
from service_integration_client.cli.commands import (
    INPUT,
    INPUT_FILE,
    SEARCH,
    Columns,
    given_input,
    list_command,
    order_command,
    read_object,
    rows_as,
    status_of,
)
from service_integration_client.cli.session import (
    Session,
    hub_command,
    hub_group,
    pairs,
    read_value,
    rows_of,
)
from service_integration_client.cli.timeline import read_time


@hub_group()
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


def _maintenance(found: dict[str, Any]) -> list[tuple[str, Any]]:
    said = found.get("maintenance")
    if not said:
        return []
    end = f"until {said['until']}" if said.get("until") else "until it is ended"
    who = f"by {said['by']}" if said.get("by") else ""
    return [("maintenance", ", ".join(part for part in (said.get("reason"), who, end) if part))]


def _sign_of_life(instance: dict[str, Any]) -> str:
    """The last heartbeat or registration, or the last good answer where that came later."""
    beaten = read_time(instance.get("last_heartbeat"))
    answered = read_time(instance.get("last_answer"))
    if answered and (not beaten or answered > beaten):
        return f"answered {drawing.ago(instance['last_answer'])}"
    return drawing.ago(instance.get("last_heartbeat"))


def _service(found: dict[str, Any]) -> Any:
    about = [
        ("status", drawing.status(found["status"])), ("type", found["type"]),
        ("description", found.get("description")), ("version", found.get("version")),
        ("tags", found.get("tags")), ("owner", found.get("owner")),
        *_maintenance(found),
    ]  # fmt: skip
    instances = (
        (i["url"], drawing.status(i["status"]), i.get("zone"), _sign_of_life(i))
        for i in found.get("instances") or ()
    )
    actions = (
        (a["name"], f"{a.get('method', '')} {a.get('path', '')}", a.get("description"))
        for a in found.get("actions") or ()
    )
    return Group(
        drawing.table((found["name"], ""), about), "",
        drawing.table(("INSTANCE", "STATUS", "ZONE", "SIGN OF LIFE"), instances), "",
        drawing.table(("ACTION", "REQUEST", "DOES"), actions),
    )  # fmt: skip


order_command(
    services, "show", "get_service",
    "One service with its instances and actions, by id or name.", render=_service,
)  # fmt: skip


@hub_command(services, "register")
@click.argument("name")
@click.argument("address")
@click.option("--health-url", help="What answers 200 while it is well.")
@click.option("--type", help="Such as PLANNING_SYSTEM.")
@click.option("--description")
@click.option("--version")
@click.option("--tag", "tags", multiple=True, help="Several times.")
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="A value may be JSON.")
@click.option("--actions-file", type=click.File(), help="A JSON list of its actions.")
@click.option("--ttl", "ttl_seconds", type=int, help="Seconds without a heartbeat to OFFLINE.")
@click.option("--zone")
def register(
    session: Session,
    name: str,
    address: str,
    tags: tuple[str, ...],
    metadata: tuple[str, ...],
    actions_file: Any,
    **given: Any,
) -> None:
    """Register a service that answers at ADDRESS, or refresh it."""
    said = {key: read_value(text) for key, text in pairs(metadata, "--metadata").items()}
    made = session.client.register_service(
        name,
        url=address,
        actions=_actions(actions_file),
        tags=list(tags) or None,
        metadata=said or None,
        **given,
    )
    session.show(made, _service)


def _actions(file: Any) -> Any:
    if file is None:
        return None
    return read_object(file.read(), "--actions-file", of_list="actions").get("actions")


@hub_command(services, "call")
@click.argument("service")
@click.argument("action")
@INPUT
@INPUT_FILE
def call(
    session: Session, service: str, action: str, inputs: tuple[str, ...], input_file: Any
) -> None:
    """Call an action of a service through the hub, and print its output."""
    given = given_input(inputs, input_file)
    session.show(session.client.execute_service_action(service, action, given))


@hub_command(services, "maintenance")
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
    status = "ONLINE" if off else "MAINTENANCE"
    found = session.client.set_service_status(service, status, reason=reason, until=until)
    session.show(found, _service)


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


# A registration counts as the first heartbeat.
_NAMES = {"last_heartbeat": "last heartbeat or registration"}


def _health(found: dict[str, Any]) -> Any:
    shown = [
        (_NAMES.get(name, name), drawing.status(value) if name == "status" else value)
        for name, value in found.items()
        if not isinstance(value, (list, dict))
    ]
    if uptime := found.get("uptime"):
        shown.append(("uptime", _uptime(uptime)))
    return drawing.table(("", ""), shown)


def _uptime(found: dict[str, Any]) -> str:
    if found["percent"] is None:
        return "no data yet"
    watched = f"; nobody looked for {100 - found['coverage']:g} % of the time"
    return f"up {found['percent']:g} %{watched if found['coverage'] < 100 else ''}"


# The worst first, and what nobody knows before what is well.
_BY_NEED = ("OFFLINE", "ERROR", "DEGRADED", "UNKNOWN", "MAINTENANCE", "DISABLED")


def _need(word: str) -> int:
    upper = word.upper()
    return _BY_NEED.index(upper) if upper in _BY_NEED else len(_BY_NEED)


def _system(found: dict[str, Any]) -> Any:
    statuses = found.get("service_statuses") or {}
    words = {
        name: str(said if isinstance(said, str) else said.get("status"))
        for name, said in statuses.items()
    }
    unwell_first = sorted(words, key=lambda name: (_need(words[name]), name))
    rows = ((name, drawing.status(words[name])) for name in unwell_first)
    return Group(_health(found), "", drawing.table(("SERVICE", "STATUS"), rows))
