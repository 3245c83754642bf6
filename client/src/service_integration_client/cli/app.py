"""The program with all its groups of commands."""

from __future__ import annotations

import sys

import click
from click.shell_completion import get_completion_class

from service_integration_client.cli.alerts import alerts
from service_integration_client.cli.api_keys import keys
from service_integration_client.cli.bulk_operations import bulk
from service_integration_client.cli.checks import checks
from service_integration_client.cli.circuit_breakers import breakers
from service_integration_client.cli.connections import connections, credentials
from service_integration_client.cli.dependencies import dependencies
from service_integration_client.cli.escalations import escalations
from service_integration_client.cli.executions import executions
from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.incidents import incidents
from service_integration_client.cli.integrations import integrations, webhooks
from service_integration_client.cli.maintenance import maintenance
from service_integration_client.cli.manifests import apply, diff, export
from service_integration_client.cli.models import models
from service_integration_client.cli.schedules import schedules
from service_integration_client.cli.services import discover, health, services
from service_integration_client.cli.session import INTERRUPTED
from service_integration_client.cli.silences import silences
from service_integration_client.cli.status import slos, status_pages
from service_integration_client.cli.workflows import workflows

PROGRAM = "service-integration"


@click.group(cls=HubGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="service-integration-client", prog_name=PROGRAM)
def root() -> None:
    """Talks to a Service Integration hub.

    The hub is named by --url and --api-key, or by SERVICE_INTEGRATION_URL and
    SERVICE_INTEGRATION_API_KEY. The options stand before or behind the command.

    Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 3 the hub cannot be reached, 4 the key
    may not do this.
    """


for command in (
    discover, health, services, workflows, executions, bulk, schedules, integrations, connections,
    credentials, webhooks, breakers, incidents, alerts, escalations, silences, checks,
    dependencies, maintenance, slos, status_pages, models, keys, apply, diff, export,
):  # fmt: skip
    root.add_command(command)


@root.command(cls=click.Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what a shell needs to complete: eval "$(service-integration completion bash)"."""
    completion_class = get_completion_class(shell)
    assert completion_class is not None
    click.echo(completion_class(root, {}, PROGRAM, "_SERVICE_INTEGRATION_COMPLETE").source())


def main() -> None:
    """Run the command that the arguments name, and end the process with its code."""
    try:
        root.main(prog_name=PROGRAM, standalone_mode=True)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
