"""Silences: seen, made, previewed and ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import click

from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.options import SEARCH
from service_integration_client.cli.session import Session
from service_integration_client.cli.tables import age_of, fields_of, rows_as, status_of

silences = HubGroup("silences", help="What nobody is told of for a while.")
silences.add_list(
    "get_silences", "Silences by name.",
    {
        "NAME": "name", "STATUS": status_of(), "SUBJECTS": "subjects", "SERVICES": "services",
        "TAGS": "tags", "ABOUT": "about", "UNTIL": "ends_at", "BY": "created_by",
    },
    click.option("--active/--other", default=None, help="Only those that hold now, or do not."),
    SEARCH,
)  # fmt: skip
silences.add_operation("show", "get_silence", "One silence, by id or name.")
silences.add_operation("expire", "expire_silence", "End a silence now.")
silences.add_operation("delete", "delete_silence", "Remove a silence.")

_MATCHERS = (
    click.option("--subject", "subjects", multiple=True, help="SERVICE_DOWN ...; repeatable."),
    click.option("--service", "services", multiple=True, help="A name such as pay-*; repeatable."),
    click.option("--tag", "tags", multiple=True, help="Services with that tag; repeatable."),
    click.option(
        "--about", multiple=True, help="The name of a check, a connection ...; repeatable."
    ),
)
_MATCHED: dict[str, Any] = {
    "ID": "id",
    "SEVERITY": "severity",
    "WHAT": "title",
    "OPENED": age_of("opened_at"),
}


def _matchers(run: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_MATCHERS):
        run = option(run)
    return run


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: list(each) for name, each in fields.items() if each}


@silences.command("create")
@click.argument("name")
@_matchers
@click.option("--minutes", type=click.IntRange(1), default=60, show_default=True)
@click.option("--reason", "description", help="Why.")
def create_silence(
    session: Session, name: str, minutes: int, description: str | None, **fields: Any
) -> None:
    """Silence what passes all that is given, from now on."""
    ends_at = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    made = session.client.create_silence(name, ends_at, description=description, **_given(fields))
    session.show(made, fields_of)


@silences.command("preview")
@_matchers
def preview_silence(session: Session, **fields: Any) -> None:
    """Show which open incidents would be silenced."""
    session.show(session.client.preview_silence(**_given(fields)), _matched_table)


@silences.command("matched")
@click.argument("silence")
def show_matched(session: Session, silence: str) -> None:
    """Show which open incidents a silence matches."""
    session.show(session.client.get_silenced_incidents(silence), _matched_table)


def _matched_table(found: dict[str, Any]) -> Any:
    return rows_as(_MATCHED)(found["incidents"])
