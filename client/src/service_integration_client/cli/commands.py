"""Commands that are alike for all groups: list, show, and order something done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Union

import click
from rich.console import RenderableType

from service_integration_client.cli import drawing
from service_integration_client.cli.session import Session, hub_command, pairs, read_value
from service_integration_client.strict_json import parse_json

# What a column shows of a row: a field, or what is made of the row.
Columns = Mapping[str, Union[str, Callable[[dict[str, Any]], Any]]]
Decorator = Callable[[Callable[..., None]], Callable[..., None]]
Render = Callable[[Any], RenderableType]

SEARCH = click.option("--search", help="What the name or the description has.")
REASON = click.option("--reason", required=True, help="Why; everybody sees it.")
INPUT = click.option(
    "--input", "inputs", multiple=True, metavar="KEY=VALUE", help="A value may be JSON."
)
INPUT_FILE = click.option("--input-file", type=click.File(), help="JSON; - is standard input.")


def status_of(field: str = "status") -> Callable[[dict[str, Any]], Any]:
    """A column with a status in its colour."""
    return lambda row: drawing.status(row.get(field))


def age_of(field: str) -> Callable[[dict[str, Any]], Any]:
    """A column with how long ago something was."""
    return lambda row: drawing.ago(row.get(field))


def rows_as(columns: Columns) -> Render:
    """How a list is drawn: as a table of these columns."""

    def cell(row: dict[str, Any], shown: Any) -> Any:
        return shown(row) if callable(shown) else row.get(shown)

    return lambda rows: drawing.table(
        tuple(columns), ([cell(row, shown) for shown in columns.values()] for row in rows)
    )


def fields(found: dict[str, Any]) -> RenderableType:
    """A resource, field by field; what is empty is left out."""
    shown = (
        (name, drawing.status(value) if name in ("status", "state") else _as_text(value))
        for name, value in found.items()
        if value not in (None, "", [], {})
    )
    return drawing.table((str(found.get("name") or found.get("id") or ""), ""), shown)


def _as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)


def list_command(
    group: click.Group,
    operation: str,
    sentence: str,
    columns: Columns,
    *filters: Decorator,
    limit: int = 50,
) -> None:
    """Add `list`: the rows of an operation of the client that answers pages."""

    def run(session: Session, limit: int, **given: Any) -> None:
        get_page = getattr(session.client, operation)
        session.show_list(get_page, rows_as(columns), limit=limit, **given)

    most = click.option("--limit", type=click.IntRange(1), default=limit, show_default=True)
    _add(group, "list", run, sentence, (*filters, most))


def history_command(
    group: click.Group, operation: str, sentence: str, columns: Columns, *filters: Decorator
) -> None:
    """Add `history`: what became of one resource, which is named first."""

    def run(session: Session, resource: str, limit: int, **given: Any) -> None:
        def get_page(**filters: Any) -> Any:
            return getattr(session.client, operation)(resource, **filters)

        session.show_list(get_page, rows_as(columns), limit=limit, **given)

    most = click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
    _add(group, "history", run, sentence, (_argument(group), *filters, most))


def order_command(
    group: click.Group,
    name: str,
    operation: str,
    sentence: str,
    *options: Decorator,
    render: Render = fields,
) -> None:
    """Add a command that calls an operation with one resource, and draws the answer."""

    def run(session: Session, resource: str, **given: Any) -> None:
        session.show(getattr(session.client, operation)(resource, **given), render)

    _add(group, name, run, sentence, (_argument(group), *options))


def _argument(group: click.Group) -> Decorator:
    return click.argument("resource", metavar=str(group.name).rstrip("s").upper())


def _add(
    group: click.Group,
    name: str,
    run: Callable[..., None],
    sentence: str,
    options: Sequence[Decorator],
) -> None:
    run.__doc__ = sentence
    for option in reversed(options):
        run = option(run)
    hub_command(group, name)(run)


def given_input(inputs: Iterable[str], input_file: Any) -> dict[str, Any]:
    """What INPUT and INPUT_FILE give together. Raises: click.UsageError."""
    given = read_object(input_file.read(), "--input-file") if input_file else {}
    given.update((key, read_value(text)) for key, text in pairs(inputs, "--input").items())
    return given


def read_object(text: str, what: str, *, of_list: str | None = None) -> dict[str, Any]:
    """A JSON object; a list becomes the field `of_list` of one. Raises: click.UsageError."""
    try:
        document = parse_json(text, unique_keys=True)
    except ValueError as error:
        raise click.UsageError(f"{what} is not JSON: {error}") from None
    if of_list and isinstance(document, list):
        return {of_list: document}
    if not isinstance(document, dict):
        raise click.UsageError(f"{what} must hold a JSON object.")
    return document
