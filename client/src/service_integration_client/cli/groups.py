"""Groups of commands, and the commands that are alike for all of them: list, history, show."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import click
from click.core import ParameterSource

from service_integration_client.cli.options import Decorator, all_of
from service_integration_client.cli.session import Session, exit_code, report
from service_integration_client.cli.tables import Columns, Render, fields_of, rows_as
from service_integration_client.configuration import DEFAULT_TIMEOUT_SECONDS
from service_integration_client.exceptions import ServiceIntegrationError

_KEPT = f"{__name__}.options"


def _keep(context: click.Context, option: click.Parameter, value: Any) -> None:
    """Note an option that stands on the line; that of a command comes after those before it."""
    name = str(option.name)
    if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
        context.meta.setdefault(_KEPT, {})[name] = value


def _common_options() -> list[click.Option]:
    """Return the options that the program, its groups and its commands take alike."""
    kept: dict[str, Any] = {"expose_value": False, "callback": _keep}
    url = "Such as http://localhost:8090; $SERVICE_INTEGRATION_URL unless given."
    key = "The key of the caller; $SERVICE_INTEGRATION_API_KEY unless given."
    timeout = f"Seconds to wait for one answer.  [default: {DEFAULT_TIMEOUT_SECONDS}]"
    return [
        click.Option(["--url"], help=url, **kept),
        click.Option(["--api-key"], help=key, **kept),
        click.Option(["--timeout"], type=float, help=timeout, **kept),
        click.Option(["--json"], is_flag=True, help="JSON for programs.", **kept),
    ]


class HubCommand(click.Command):
    """A command whose function gets a `Session` first, and whose errors have exit codes."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params += _common_options()

    def invoke(self, ctx: click.Context) -> Any:
        session = Session(ctx.meta.get(_KEPT, {}))
        ctx.params["session"] = session
        try:
            return super().invoke(ctx)
        except ServiceIntegrationError as error:
            report(error, as_json=session.as_json)
            session.fail(exit_code(error))


class HubGroup(click.Group):
    """Commands for one kind of resource; it takes before them what they take themselves."""

    command_class = HubCommand

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params += _common_options()

    def add_list(
        self,
        operation: str,
        sentence: str,
        columns: Columns,
        *options: Decorator,
        name: str = "list",
        limit: int = 50,
    ) -> None:
        """Add the rows of an operation of the client that answers pages."""

        def run(session: Session, limit: int, resource: str | None = None, **filters: Any) -> None:
            get_page = getattr(session.client, operation)
            if resource is not None:
                get_page = functools.partial(get_page, resource)
            session.show_list(get_page, rows_as(columns), limit=limit, **filters)

        most = click.option("--limit", type=click.IntRange(1), default=limit, show_default=True)
        self._add(name, run, sentence, (*options, most))

    def add_history(
        self,
        operation: str,
        sentence: str,
        columns: Columns,
        *filters: Decorator,
        name: str = "history",
        limit: int = 20,
    ) -> None:
        """Add a list of what became of one resource, which is named first."""
        options = (self._resource(), *filters)
        self.add_list(operation, sentence, columns, *options, name=name, limit=limit)

    def add_operation(
        self,
        name: str,
        operation: str,
        sentence: str,
        *options: Decorator,
        render: Render = fields_of,
    ) -> None:
        """Add a command that calls an operation with one resource, and draws the answer."""

        def run(session: Session, resource: str, **arguments: Any) -> None:
            session.show(getattr(session.client, operation)(resource, **arguments), render)

        self._add(name, run, sentence, (self._resource(), *options))

    def _resource(self) -> Decorator:
        one = re.sub("ies$", "y", str(self.name)).rstrip("s")
        return click.argument("resource", metavar=one.upper())

    def _add(
        self, name: str, run: Callable[..., None], sentence: str, options: Sequence[Decorator]
    ) -> None:
        self.command(name, help=sentence)(all_of(*options)(run))
