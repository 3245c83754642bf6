"""Dependencies: which service needs which, seen, said and taken back."""

from __future__ import annotations

import click

from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.session import Session
from service_integration_client.cli.tables import Columns, age_of, fields_of, rows_as

COLUMNS: Columns = {
    "SERVICE": "service", "DEPENDS ON": "depends_on", "KIND": "kind", "ID": "id",
}  # fmt: skip

LEARNED: Columns = {
    "SERVICE": "service", "CALLED": "depends_on", "TIMES": "count", "LAST": age_of("last_at"),
}  # fmt: skip

dependencies = HubGroup("dependencies", help="Which service needs which.")
dependencies.add_list(
    "get_dependencies", "Dependencies by the names of the services.", COLUMNS,
    click.option("--service", help="What this service needs."),
    click.option("--depends-on", help="What needs this service."),
    click.option("--kind", help="HARD or SOFT."),
)  # fmt: skip
dependencies.add_operation("show", "get_dependency", "One dependency, by its id.")
dependencies.add_operation("delete", "delete_dependency", "Take back that a service needs another.")


@dependencies.command("create")
@click.argument("service")
@click.argument("depends_on", metavar="NEEDED")
@click.option("--kind", help="HARD (as without): it does not work without it. Else SOFT.")
def create_dependency(session: Session, service: str, depends_on: str, kind: str | None) -> None:
    """Say that a service needs another; one that would close a circle is refused."""
    made = session.client.create_dependency(service, depends_on, kind=kind)
    session.show(made, fields_of)


@dependencies.command("learned")
def list_learned(session: Session) -> None:
    """Who called whom within a week, where nobody said that it needs it."""
    found = session.client.get_learned_dependencies()
    session.show(found, lambda answer: rows_as(LEARNED)(answer["items"]))
