"""How services were, whether objectives are met, and what people outside are shown."""

from __future__ import annotations

from typing import Any

import click

from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.options import SEARCH
from service_integration_client.cli.services import services
from service_integration_client.cli.session import Session
from service_integration_client.cli.tables import (
    Columns,
    age_of,
    fields_of,
    rows_as,
    seconds,
    status,
    status_of,
    table,
)

WINDOW = click.option("--window", help="24h (as without), 7d, 30d, 90d or 365d.")
MAINTENANCE = click.option("--maintenance", help="EXCLUDE (as without), COUNT_UP or COUNT_AS_IS.")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:g} %"


def _share(value: float | None) -> str:
    return "-" if value is None else _percent(round(value * 100, 1))


def _uptime_table(answer: dict[str, Any]) -> Any:
    parts = answer["parts"]
    rows = [
        ("uptime", _percent(answer["percent"])),
        ("observed", _percent(answer["coverage"])),
        *((name.partition("_")[0], seconds(parts[name])) for name in _PARTS),
    ]
    return table((str(answer["service"]), ""), rows)


_PARTS = ("up_seconds", "down_seconds", "maintenance_seconds", "unknown_seconds")

_DAYS: Columns = {
    "DAY": "date", "UPTIME": lambda row: _percent(row["percent"]),
    "OBSERVED": lambda row: _percent(row["coverage"]),
    "DOWN": lambda row: seconds(row["down_seconds"]),
}  # fmt: skip
services.add_operation(
    "uptime", "get_service_uptime", "The uptime of a service, and the time that it is made of.",
    WINDOW, MAINTENANCE, render=_uptime_table,
)  # fmt: skip
services.add_operation(
    "uptime-days", "get_service_uptime", "The uptime of a service by day.", WINDOW, MAINTENANCE,
    render=lambda answer: rows_as(_DAYS)(answer["days"]),
)  # fmt: skip
services.add_history(
    "get_service_spans", "When a service had which status, the latest first.",
    {
        "STATUS": status_of(), "SINCE": age_of("started_at"), "UNTIL": "ended_at",
    },
    click.option("--status", help="Such as OFFLINE."),
    name="spans",
)  # fmt: skip

slos = HubGroup("slos", help="Objectives: whether they are met, and what is left of them.")
slos.add_list(
    "get_slos", "Objectives by name.",
    {
        "NAME": "name", "SERVICE": "service", "KIND": "kind",
        "TARGET": lambda row: _percent(row["target"]), "DAYS": "window_days", "ENABLED": "enabled",
    },
    click.option("--kind", help="AVAILABILITY or LATENCY."),
    click.option("--service", help="The name of a service."),
    SEARCH,
)  # fmt: skip
slos.add_operation("show", "get_slo", "One objective, by id or name.")


@slos.command("status")
@click.argument("slo")
def slo_status(session: Session, slo: str) -> None:
    """How an objective is met. Exits with 1 while its budget burns too fast, or is used up."""
    found = session.client.get_slo_status(slo)
    session.show(found, _slo_table)
    if found["state"] in ("CRITICAL", "WARNING", "EXPIRED"):
        session.fail()


def _slo_table(found: dict[str, Any]) -> Any:
    rows = [
        ("state", status(found["state"])),
        ("good", f"{_percent(found['percent'])}, {found['good']} of {found['total']}"),
        ("budget left", _share(found["budget_left"]) if found["total"] else "-"),
        ("used up", found["exhausts_at"]),
    ]
    for rule in found["burns"]:
        long, short = (seconds(rule[f"{each}_seconds"]) for each in ("long", "short"))
        burn = f"{rule['long_burn']:g} in {long}, {rule['short_burn']:g} in {short}"
        rows.append((f"burn above {rule['threshold']:g}", burn))
    return table((str(found["name"]), ""), rows)


status_pages = HubGroup("status-pages", help="What people outside are shown of services.")
status_pages.add_list(
    "get_status_pages", "Status pages by name.",
    {
        "NAME": "name", "TITLE": "title", "SHOWN TO": "visibility",
        "ADDRESS": lambda row: f"/status/{row['name']}",
    },
    click.option("--visibility", help="OFF, KEY or PUBLIC."),
    SEARCH,
)  # fmt: skip
status_pages.add_operation("show", "get_status_page", "One status page, by id or name.")


@status_pages.command("set")
@click.argument("status_page")
@click.argument("visibility", type=click.Choice(["OFF", "KEY", "PUBLIC"], case_sensitive=False))
def set_visibility(session: Session, status_page: str, visibility: str) -> None:
    """Say who sees a page: nobody (OFF), who has a key or a login (KEY), or everybody (PUBLIC)."""
    changed = session.client.update_status_page(status_page, visibility=visibility.upper())
    session.show(changed, fields_of)
