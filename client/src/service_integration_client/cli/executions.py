"""Executions: listed, drawn, followed, controlled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from rich.live import Live

from service_integration_client.cli import drawing
from service_integration_client.cli.commands import (
    age_of,
    list_command,
    order_command,
    status_of,
)
from service_integration_client.cli.session import (
    Session,
    hub_command,
    pairs,
    read_value,
)
from service_integration_client.results import NEEDS_A_PERSON, has_ended

LOOK_SECONDS = 1.0
WHY = click.option("--reason", help="Everybody sees it.")


@click.group()
def executions() -> None:
    """Runs of workflows."""


list_command(
    executions, "get_executions", "Executions, newest first.",
    {
        "ID": "id", "WORKFLOW": "workflow_name", "STATUS": status_of(), "AT": "current_step",
        "TOOK": lambda row: drawing.seconds(row.get("execution_time")),
        "STARTED": age_of("created_at"),
    },
    click.option("--status", help="Such as FAILED or RUNNING."),
    click.option("--workflow", help="The name or id of a workflow."),
    click.option("--type", help="Such as PROJECT_PLANNING."),
    click.option("--correlation-id"),
    click.option("--after", "created_after", help="An ISO 8601 time."),
    click.option("--before", "created_before", help="An ISO 8601 time."),
    limit=20,
)  # fmt: skip
for name, operation, sentence, options in (
    ("show", "get_workflow_execution_status", "The tree of its steps with their times.", ()),
    ("pause", "pause_execution", "Let an execution begin nothing more.", ()),
    ("resume", "resume_execution", "Let a paused execution go on.", ()),
    ("cancel", "cancel_execution", "End an execution now.", (WHY,)),
):
    order_command(executions, name, operation, sentence, *options, render=drawing.execution)


@hub_command(executions, "follow")
@click.argument("execution")
def follow_execution(session: Session, execution: str) -> None:
    """Look on until an execution ends. Exits with 1 unless it completed."""
    found = follow(session, session.client.get_workflow_execution_status(execution))
    if found.get("status") != "COMPLETED":
        session.fail()


def follow(session: Session, found: dict[str, Any]) -> dict[str, Any]:
    """Draw an execution anew until it ends or needs a person; answer it as it is then."""
    if session.is_live:
        last = found
        with Live(drawing.execution(found), console=session.console) as live:
            for last in _looks(session, found):
                live.update(drawing.execution(last))
        return last
    *_, last = _looks(session, found)
    session.show(last, drawing.execution)
    return last


def _looks(session: Session, found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield found
    while not has_ended(found) and found.get("status") != NEEDS_A_PERSON:
        found = session.client.wait_for_execution(found["id"], seconds=LOOK_SECONDS)
        yield found


@hub_command(executions, "retry")
@click.argument("execution")
@click.option("--follow", "follows", is_flag=True, help="Look on until it ends.")
def retry_execution(session: Session, execution: str, follows: bool) -> None:
    """Let a failed execution go on from the step that failed."""
    found = session.client.retry_execution(execution)
    if not follows:
        session.show(found, drawing.execution)
    elif follow(session, found).get("status") != "COMPLETED":
        session.fail()


@hub_command(executions, "signal")
@click.argument("execution")
@click.argument("name")
@click.option("--data", multiple=True, metavar="KEY=VALUE", help="A value may be JSON.")
def signal_execution(session: Session, execution: str, name: str, data: tuple[str, ...]) -> None:
    """Give an execution a signal."""
    payload = {key: read_value(text) for key, text in pairs(data, "--data").items()}
    session.show(session.client.signal_execution(execution, name, payload), drawing.execution)


@hub_command(executions, "approve")
@click.argument("execution")
@click.argument("step")
@click.option("--comment", default="")
@click.option("--form", multiple=True, metavar="KEY=VALUE", help="What the form asks for.")
def approve(
    session: Session, execution: str, step: str, comment: str, form: tuple[str, ...]
) -> None:
    """Approve what a step asks."""
    given = {key: read_value(text) for key, text in pairs(form, "--form").items()}
    found = session.client.approve_step(execution, step, comment=comment, form=given)
    session.show(found, drawing.execution)


@hub_command(executions, "reject")
@click.argument("execution")
@click.argument("step")
@click.option("--comment", default="")
def reject(session: Session, execution: str, step: str, comment: str) -> None:
    """Reject what a step asks."""
    found = session.client.reject_step(execution, step, comment=comment)
    session.show(found, drawing.execution)
