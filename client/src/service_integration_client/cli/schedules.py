"""Schedules: seen, made, switched, run out of turn."""

from __future__ import annotations

from typing import Any

import click

from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.options import takes_input
from service_integration_client.cli.session import Session
from service_integration_client.cli.tables import age_of, fields_of, status_of

schedules = HubGroup("schedules", help="When workflows are started by the clock.")
schedules.add_list(
    "get_schedules", "Schedules by name.",
    {
        "NAME": "name", "WORKFLOW": "workflow_name", "STATE": status_of("state"), "CRON": "cron",
        "ZONE": "timezone", "MEANS": "words", "NEXT": "next_run_at", "LAST": age_of("last_run_at"),
    },
    click.option("--workflow", "workflow_id", help="The name or id of a workflow."),
    click.option("--enabled/--disabled", default=None, help="Only those."),
)  # fmt: skip
schedules.add_history(
    "get_schedule_runs", "What became of its ticks, newest first.",
    {
        "TICK": "tick", "KIND": "kind", "OUTCOME": status_of("outcome"),
        "EXECUTION": "execution_id", "STATUS": status_of("execution_status"), "WHY": "reason",
    },
    click.option("--outcome", help="Such as STARTED, SKIPPED, QUEUED or FAILED."),
)  # fmt: skip
for name, operation, sentence in (
    ("show", "get_schedule", "One schedule with its next ticks, by id or name."),
    ("enable", "enable_schedule", "Switch a schedule on."),
    ("disable", "disable_schedule", "Switch a schedule off."),
    ("run", "run_schedule", "Run a schedule now, besides its ticks."),
    ("delete", "delete_schedule", "Delete a schedule; its executions stay."),
):
    schedules.add_operation(name, operation, sentence)


@schedules.command("create")
@click.argument("name")
@click.argument("workflow")
@click.option("--cron", required=True, help='Five fields, such as "0 6 * * 1-5".')
@click.option("--timezone", help="Such as Europe/Berlin; UTC unless given.")
@takes_input
def create(session: Session, name: str, workflow: str, input_data: Any, **times: Any) -> None:
    """Start a workflow by the clock."""
    schedule = session.client.create_schedule(name, workflow, input_data=input_data or {}, **times)
    session.show(schedule, fields_of)


schedules.add_operation(
    "backfill", "backfill_schedule", "Run the ticks of a past time, both ends included.",
    click.option("--from", "start", required=True, help="An ISO 8601 time."),
    click.option("--to", "end", required=True, help="An ISO 8601 time."),
    click.option("--dry-run", is_flag=True, help="Only count the ticks."),
)  # fmt: skip
