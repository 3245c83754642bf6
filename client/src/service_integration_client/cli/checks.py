"""Checks: seen, run now, paused and resumed."""

from __future__ import annotations

from typing import Any

import click

from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.options import SEARCH
from service_integration_client.cli.session import Session
from service_integration_client.cli.tables import age_of, status, status_of, table

checks = HubGroup("checks", help="What is looked at, how it is, and what was seen.")
checks.add_list(
    "get_checks", "Checks by name.",
    {
        "NAME": "name", "KIND": "kind", "STATE": status_of("state"), "SERVICE": "service",
        "URL": "url",
    },
    click.option("--kind", help="HTTP, TCP, DNS, TLS, HEARTBEAT or PUSH."),
    click.option("--service", help="The name of a service."),
    SEARCH,
)  # fmt: skip
checks.add_operation("show", "get_check", "One check, by id or name.")
checks.add_history(
    "get_check_results", "What was seen, the latest first.",
    {
        "WHEN": age_of("checked_at"), "OUTCOME": status_of("outcome"), "MS": "latency_ms",
        "ERROR": "error",
    },
    click.option("--outcome", help="OK, FAIL or INCONCLUSIVE."),
    name="results",
)  # fmt: skip
checks.add_operation("rotate-token", "rotate_check_token", "Give a job another address to call.")
checks.add_operation("pause", "pause_check", "Look at nothing until it is resumed.")
checks.add_operation("resume", "resume_check", "Look at it again.")


@checks.command("run")
@click.argument("check")
def run_check(session: Session, check: str) -> None:
    """Look now; nothing is recorded. Exits with 1 where something is not well."""
    seen = session.client.run_check(check)
    session.show(seen, _run_table)
    if any(each["outcome"] != "OK" for each in seen["results"]):
        session.fail()


def _run_table(seen: dict[str, Any]) -> Any:
    rows = [
        (each["url"], status(each["outcome"]), each["latency_ms"], each["error"])
        for each in seen["results"]
    ]
    return table(("URL", "OUTCOME", "MS", "ERROR"), rows)
