"""Executions: listed, drawn, followed, controlled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click
from rich.live import Live

from service_integration_client.cli.execution_tree import execution_tree
from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.options import (
    EXECUTION_FILTERS,
    file_option,
    takes_input,
    values_option,
)
from service_integration_client.cli.session import Session
from service_integration_client.cli.tables import age_of, seconds, status_of
from service_integration_client.results import has_stopped

POLL_SECONDS = 1.0
REASON = click.option("--reason", help="Everybody sees it.")
DATA = values_option("--data", "payload", help="A value may be JSON.")
STEP = click.argument("step")
COMMENT = click.option("--comment", default="")
FORM = values_option("--form", "form", help="What the form asks for.")
FOLLOW = click.option("--follow", "follows", is_flag=True, help="Look on until it ends.")

executions = HubGroup("executions", help="Runs of workflows.")
executions.add_list(
    "get_executions", "Executions, newest first.",
    {
        "ID": "id", "WORKFLOW": "workflow_name", "STATUS": status_of(), "AT": "current_step",
        "TOOK": lambda row: seconds(row.get("execution_time")), "STARTED": age_of("created_at"),
    },
    click.option("--status", help="Such as FAILED or RUNNING."), *EXECUTION_FILTERS,
    limit=20,
)  # fmt: skip
executions.add_history(
    "get_execution_events", "What happened to an execution, in order.",
    {
        "AT": "created_at", "EVENT": status_of("kind"), "BY": lambda e: e.get("actor") or "-",
        "ABOUT": lambda e: json.dumps(e["payload"], ensure_ascii=False) if e["payload"] else "",
    },
    name="events", limit=100,
)  # fmt: skip
for name, operation, sentence, options in (
    ("show", "get_workflow_execution_status", "The tree of its steps with their times.", ()),
    ("pause", "pause_execution", "Let an execution begin nothing more.", ()),
    ("resume", "resume_execution", "Let a paused execution go on.", ()),
    ("cancel", "cancel_execution", "End an execution now.", (REASON,)),
    ("signal", "signal_execution", "Give an execution a signal.", (click.argument("name"), DATA)),
    ("approve", "approve_step", "Approve what a step asks.", (STEP, COMMENT, FORM)),
    ("reject", "reject_step", "Reject what a step asks.", (STEP, COMMENT)),
):
    executions.add_operation(name, operation, sentence, *options, render=execution_tree)


@executions.command("follow")
@click.argument("execution")
def follow_execution(session: Session, execution: str) -> None:
    """Look on until an execution ends. Exits with 1 unless it completed."""
    follow(session, session.client.get_workflow_execution_status(execution))


def follow(session: Session, execution: dict[str, Any]) -> dict[str, Any]:
    """Draw an execution anew until it ends or needs a person; return it as it is then.

    Exits with 1 unless it completed.
    """
    if session.is_live:
        last = execution
        with Live(execution_tree(execution), console=session.console) as live:
            for last in _states(session, execution):
                live.update(execution_tree(last))
    else:
        *_, last = _states(session, execution)
        session.show(last, execution_tree)
    if last.get("status") != "COMPLETED":
        session.fail()
    return last


def _states(session: Session, execution: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield execution
    while not has_stopped(execution):
        execution = session.client.wait_for_execution(execution["id"], seconds=POLL_SECONDS)
        yield execution


def _show_or_follow(session: Session, execution: dict[str, Any], *, follows: bool) -> None:
    if follows:
        follow(session, execution)
    else:
        session.show(execution, execution_tree)


@executions.command("retry")
@click.argument("execution")
@FOLLOW
def retry_execution(session: Session, execution: str, follows: bool) -> None:
    """Let a failed execution go on from the step that failed."""
    _show_or_follow(session, session.client.retry_execution(execution), follows=follows)


@executions.command("rerun")
@click.argument("execution")
@click.option("--from-step", help="What came before it is kept; the first step unless given.")
@click.option("--version", help="A number or newest; that of the execution unless given.")
@takes_input
@file_option("--step-input-file", "step_input", help="JSON: what --from-step is given.")
@FOLLOW
def rerun_execution(
    session: Session, execution: str, version: str | None, follows: bool, **changes: Any
) -> None:
    """Run an execution that ended again, as a new one. A given input replaces its own."""
    rerun = session.client.rerun_execution(
        execution, version=_read_version(version), wait=False, **changes
    )
    _show_or_follow(session, rerun.execution, follows=follows)


def _read_version(text: str | None) -> Any:
    if text is None or text == "newest":
        return text
    if not (text.isascii() and text.isdigit()):
        raise click.UsageError(f"--version is a number or newest, not '{text}'.")
    return int(text)
