"""Executions: listed, drawn, followed, controlled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click
from rich.live import Live

from service_integration_client.cli import drawing
from service_integration_client.cli.commands import (
    INPUT,
    INPUT_FILE,
    Columns,
    age_of,
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
)
from service_integration_client.results import has_stopped

LOOK_SECONDS = 1.0
WHY = click.option("--reason", help="Everybody sees it.")


@hub_group()
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
    click.option("--after", "created_after", help="An RFC 3339 time."),
    click.option("--before", "created_before", help="An RFC 3339 time."),
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
    while not has_stopped(found):
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


@hub_command(executions, "rerun")
@click.argument("execution")
@click.option("--from-step", help="What came before it is kept; the first step unless given.")
@click.option("--version", help="A number or newest; that of the execution unless given.")
@INPUT
@INPUT_FILE
@click.option("--step-input-file", type=click.File(), help="JSON: what --from-step is given.")
@click.option("--follow", "follows", is_flag=True, help="Look on until it ends.")
def rerun_execution(
    session: Session,
    execution: str,
    from_step: str | None,
    version: str | None,
    inputs: tuple[str, ...],
    input_file: Any,
    step_input_file: Any,
    follows: bool,
) -> None:
    """Run an execution that ended again, as a new one. A given input replaces its own."""
    started = session.client.rerun_execution(
        execution,
        from_step=from_step,
        version=_version(version),
        input_data=given_input(inputs, input_file) if inputs or input_file else None,
        step_input=step_input_file and read_object(step_input_file.read(), "--step-input-file"),
        wait=False,
    )
    if not follows:
        session.show(started.execution, drawing.execution)
    elif follow(session, started.execution).get("status") != "COMPLETED":
        session.fail()


def _version(text: str | None) -> Any:
    if text is None or text == "newest":
        return text
    if not (text.isascii() and text.isdigit()):
        raise click.UsageError(f"--version is a number or newest, not '{text}'.")
    return int(text)


EVENTS: Columns = {
    "AT": "created_at",
    "EVENT": status_of("kind"),
    "BY": lambda row: row.get("actor") or "-",
    "ABOUT": lambda row: json.dumps(row["payload"], ensure_ascii=False) if row["payload"] else "",
}


@hub_command(executions, "events")
@click.argument("execution")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
def list_events(session: Session, execution: str, limit: int) -> None:
    """What happened to an execution, in order."""

    def get_page(**filters: Any) -> Any:
        return session.client.get_execution_events(execution, **filters)

    session.show_list(get_page, rows_as(EVENTS), limit=limit)


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
