"""Integrations and webhooks: seen, executed, and what became of that."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Group
from rich.text import Text

from service_integration_client.cli.commands import (
    INPUT,
    INPUT_FILE,
    SEARCH,
    age_of,
    given_input,
    history_command,
    list_command,
    order_command,
    status_of,
)
from service_integration_client.cli.session import Session, hub_command, hub_group


@hub_group()
def integrations() -> None:
    """What one service asks of another, with the fields mapped."""


list_command(
    integrations, "get_integrations", "Integrations by name.",
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
order_command(integrations, "show", "get_integration", "One integration, by id or name.")
history_command(
    integrations, "get_integration_executions",
    "What became of its executions, the latest first.",
    {
        "ID": "id", "STATUS": status_of(), "SERVICE": "service", "STARTED": age_of("started_at"),
        "MS": "duration_ms", "ERROR": lambda row: (row.get("error") or {}).get("message"),
    },
    click.option("--status", help="COMPLETED or FAILED."),
)  # fmt: skip


@hub_command(integrations, "execute")
@click.argument("integration")
@INPUT
@INPUT_FILE
def execute(session: Session, integration: str, inputs: tuple[str, ...], input_file: Any) -> None:
    """Execute an integration, and print its output."""
    found = session.client.execute_integration(integration, given_input(inputs, input_file))
    session.show(found, _executed)


def _executed(found: dict[str, Any]) -> Any:
    output = Text(json.dumps(found.get("output"), indent=2, ensure_ascii=False))
    warnings = [Text(json.dumps(each), "yellow") for each in found.get("warnings") or ()]
    return Group(output, *warnings)


@hub_group()
def webhooks() -> None:
    """Where others send messages that start or signal executions."""


list_command(
    webhooks, "get_webhooks", "Webhooks by name.",
    {
        "NAME": "name", "STATUS": lambda row: "on" if row.get("enabled") else "off",
        "PATH": "path", "EFFECT": "effect", "WORKFLOW": "workflow", "SIGNAL": "signal",
        "CREDENTIAL": "credential",
    },
    click.option("--effect", help="EXECUTION or SIGNAL."),
    click.option("--workflow", help="The name or id of a workflow."),
    SEARCH,
)  # fmt: skip
order_command(webhooks, "show", "get_webhook", "One webhook, by id or name.")
history_command(
    webhooks, "get_webhook_deliveries",
    "What became of its messages, the latest first.",
    {
        "MESSAGE": "message_id", "OUTCOME": status_of("outcome"), "EXECUTION": "execution_id",
        "CAME": age_of("created_at"), "TIMES": "count", "WHY": "reason",
    },
    click.option("--outcome", help="ACCEPTED, FAILED or REFUSED."),
)  # fmt: skip
