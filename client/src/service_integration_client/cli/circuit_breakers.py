"""Circuit breakers: seen and controlled."""

from __future__ import annotations

import click

from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.options import REASON
from service_integration_client.cli.tables import Columns, rows_as, status_of

breakers = HubGroup("breakers", help="The circuit breakers of instances and connections.")
COLUMNS: Columns = {
    "ID": "id",
    "SERVICE": "service",
    "GUARDS": "url",
    "STATE": status_of("state"),
    "FAILURES": "failure_count",
    "WHY": lambda row: row.get("reason") or row.get("cause"),
}
SECONDS = click.option("--seconds", type=float, help="For how long.")

breakers.add_list(
    "get_circuit_breakers", "Breakers, those that refuse calls first.", COLUMNS,
    click.option("--state", help="CLOSED, OPEN, HALF_OPEN, FORCED_OPEN or DISABLED."),
    click.option("--service", help="The name or id of a service."),
)  # fmt: skip
for name, sentence, options in (
    ("open", "Refuse every call.", (REASON, SECONDS)),
    ("close", "Let calls through and count from zero.", (REASON,)),
    ("disable", "Let every call through and count nothing.", (REASON, SECONDS)),
    ("reset", "Let calls through and forget what was before.", (REASON,)),
):
    breakers.add_operation(
        name, f"{name}_circuit_breaker", sentence, *options,
        render=lambda breaker: rows_as(COLUMNS)([breaker]),
    )  # fmt: skip
