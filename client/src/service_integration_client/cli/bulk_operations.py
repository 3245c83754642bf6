"""One action on many executions: counted, ordered, watched, stopped."""

from __future__ import annotations

from typing import Any

import click

from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.options import EXECUTION_FILTERS, all_of
from service_integration_client.cli.session import Session
from service_integration_client.cli.tables import age_of, fields_of, status_of

bulk = HubGroup("bulk", help="One action on all executions that a filter selects.")
bulk.add_list(
    "get_bulk_operations", "Bulk operations, newest first.",
    {
        "ID": "id", "ACTION": "action", "STATUS": status_of(), "DONE": "done", "TOTAL": "total",
        "REFUSED": "refused", "BY": "actor", "STARTED": age_of("created_at"), "WHY": "reason",
    },
    limit=20,
)  # fmt: skip
bulk.add_operation("show", "get_bulk_operation", "How far one is, and what was refused.")
bulk.add_operation("cancel", "cancel_bulk_operation", "Stop one; what was done stays done.")


@bulk.command("run")
@click.argument("action", type=click.Choice(["retry", "cancel", "pause", "resume"]))
@click.option("--status", help="Such as FAILED; several with commas.")
@all_of(*EXECUTION_FILTERS)
@click.option("--reason", default="", help="Why; everybody sees it.")
@click.option("--dry-run", is_flag=True, help="Only count them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def run(
    session: Session, action: str, reason: str, dry_run: bool, yes: bool, **filters: Any
) -> None:
    """Retry, cancel, pause or resume all executions that fit; they are counted and asked for."""
    wanted = {name: value for name, value in filters.items() if value}
    count = session.client.preview_bulk_operation(action, wanted)["count"]
    if dry_run:
        session.show({"action": action, "count": count}, fields_of)
        return
    noun = "execution" if count == 1 else "executions"
    if not yes:
        click.confirm(f"{action.capitalize()} {count} {noun}?", abort=True, err=True)
    operation = session.client.start_bulk_operation(action, wanted, count, reason=reason)
    session.show(operation, fields_of)
