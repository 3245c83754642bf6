"""Integrations and webhooks: seen, executed, and their histories."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Group
from rich.text import Text

from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.options import SEARCH, takes_input
from service_integration_client.cli.session import Session
from service_integration_client.cli.tables import age_of, status_of

integrations = HubGroup(
    "integrations", help="What one service asks of another, with the fields mapped."
)
integrations.add_list(
    "get_integrations", "Integrations by name.",
    {
        "NAME": "name", "STATUS": status_of(), "SOURCE": "source",
        "TARGET": lambda row: " ".join(map(str, (row.get("target") or {}).values())),
        "EXECUTED": age_of("last_executed_at"), "ERROR": "last_error",
    },
    click.option("--status", help="DRAFT, ACTIVE, INACTIVE or ERROR."),
    click.option("--source", help="Who asks."),
    click.option("--target", help="The service, type or connection that is asked."),
    SEARCH,
)  # fmt: skip
integrations.add_operation("show", "get_integration", "One integration, by id or name.")
integrations.add_history(
    "get_integration_executions",
    "What became of its executions, the latest first.",
    {
        "ID": "id", "STATUS": status_of(), "SERVICE": "service", "STARTED": age_of("started_at"),
        "MS": "duration_ms", "ERROR": lambda row: (row.get("error") or {}).get("message"),
    },
    click.option("--status", help="COMPLETED or FAILED."),
)  # fmt: skip


@integrations.command("execute")
@click.argument("integration")
@takes_input
def execute(session: Session, integration: str, input_data: Any) -> None:
    """Execute an integration, and print its output."""
    answer = session.client.execute_integration(integration, input_data)
    session.show(answer, _output_and_warnings)


def _output_and_warnings(answer: dict[str, Any]) -> Any:
    output = Text(json.dumps(answer.get("output"), indent=2, ensure_ascii=False))
    warnings = [Text(json.dumps(warning), "yellow") for warning in answer.get("warnings") or ()]
    return Group(output, *warnings)


webhooks = HubGroup("webhooks", help="Where others send messages that start or signal executions.")
webhooks.add_list(
    "get_webhooks", "Webhooks by name.",
    {
        "NAME": "name", "STATUS": lambda row: "on" if row.get("enabled") else "off",
        "PATH": "path", "EFFECT": "effect", "WORKFLOW": "workflow", "SIGNAL": "signal",
        "CREDENTIAL": "credential",
    },
    click.option("--effect", help="EXECUTION or SIGNAL."),
    click.option("--workflow", help="The name or id of a workflow."),
    SEARCH,
)  # fmt: skip
webhooks.add_operation("show", "get_webhook", "One webhook, by id or name.")
webhooks.add_history(
    "get_webhook_deliveries",
    "What became of its messages, the latest first.",
    {
        "MESSAGE": "message_id", "OUTCOME": status_of("outcome"), "EXECUTION": "execution_id",
        "CAME": age_of("created_at"), "TIMES": "count", "WHY": "reason",
    },
    click.option("--outcome", help="ACCEPTED, FAILED or REFUSED."),
)  # fmt: skip
