"""Circuit breakers: seen and controlled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from service_integration_client.cli import drawing
from service_integration_client.cli.session import Session, hub_command, rows_of


@click.group()
def breakers() -> None:
    """The circuit breakers of instances."""


@hub_command(breakers, "list")
@click.option("--state", help="CLOSED, OPEN, HALF_OPEN, FORCED_OPEN or DISABLED.")
@click.option("--service")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
def list_breakers(session: Session, limit: int, **filters: Any) -> None:
    """Breakers, those that refuse calls first."""
    rows, _ = rows_of(session.client.get_circuit_breakers, limit=limit, **filters)
    session.show(rows, _table)


def _table(rows: list[Any]) -> Any:
    columns = ("ID", "SERVICE", "GUARDS", "STATE", "FAILURES", "WHY")
    return drawing.table(
        columns,
        (
            (b["id"], b.get("service"), b.get("url"), drawing.status(b["state"]),
             b.get("failure_count"), b.get("reason") or b.get("cause"))
            for b in rows
        ),
    )  # fmt: skip


def _add_control(name: str, sentence: str, *, ends: bool) -> None:
    def control(session: Session, breaker: str, reason: str, **more: Any) -> None:
        act: Callable[..., Any] = getattr(session.client, f"{name}_circuit_breaker")
        session.show(act(breaker, reason, **more), lambda found: _table([found]))

    control.__doc__ = sentence
    decorated: Callable[..., None] = click.option(
        "--reason", required=True, help="Why; everybody sees it."
    )(control)
    if ends:
        decorated = click.option("--seconds", type=float, help="For how long.")(decorated)
    hub_command(breakers, name)(click.argument("breaker")(decorated))


_add_control("open", "Refuse every call.", ends=True)
_add_control("close", "Let calls through and count from zero.", ends=False)
_add_control("disable", "Let every call through and count nothing.", ends=True)
_add_control("reset", "Let calls through and forget what was before.", ends=False)
