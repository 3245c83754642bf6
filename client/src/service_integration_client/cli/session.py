"""What every command has: a client, somewhere to print, and one way to fail."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console

from service_integration_client.breaker import is_outage_of_hub
from service_integration_client.client import SyncServiceIntegrationClient
from service_integration_client.configuration import DEFAULT_TIMEOUT_SECONDS
from service_integration_client.exceptions import (
    AuthenticationError,
    MaxRetriesExceededError,
    PermissionDeniedError,
    ServiceIntegrationError,
    ValidationError,
)
from service_integration_client.strict_json import parse_json

REFUSED, UNREACHABLE, NOT_PERMITTED, INTERRUPTED = 1, 3, 4, 130
PAGE = 100


class Session:
    """One run of a command."""

    def __init__(
        self, *, url: str | None, api_key: str | None, timeout: float, as_json: bool
    ) -> None:
        self.as_json = as_json
        # Neither is a table cut to the width of a pipe, nor is there colour in one.
        width = None if sys.stdout.isatty() else 200
        self.console = Console(highlight=False, width=width)
        self._url, self._api_key, self._timeout = url, api_key, timeout

    @functools.cached_property
    def client(self) -> SyncServiceIntegrationClient:
        try:
            return SyncServiceIntegrationClient(self._url, self._timeout, self._api_key)
        except ValueError as error:
            raise click.UsageError(str(error)) from None

    @property
    def is_live(self) -> bool:
        """Whether a person looks on, for whom lines may be drawn anew."""
        return self.console.is_terminal and not self.as_json

    def show(self, document: Any, render: Callable[[Any], Any] | None = None) -> None:
        """Print a document as JSON if that was asked for, else as `render` draws it."""
        if self.as_json or render is None:
            click.echo(json.dumps(document, indent=2, ensure_ascii=False, default=str))
        else:
            self.console.print(render(document))

    def show_list(
        self,
        get_page: Callable[..., Any],
        render: Callable[[Any], Any],
        *,
        limit: int,
        **filters: Any,
    ) -> None:
        """Print at most `limit` rows of a list, and say when there are more."""
        rows, total = rows_of(get_page, limit=limit, **filters)
        self.show(rows, render)
        if total is not None and total > len(rows):
            self.say(f"{len(rows)} of {total}: --limit shows more.")

    def say(self, text: str) -> None:
        """Tell a person; not in JSON."""
        if not self.as_json:
            self.console.print(text, markup=False)

    def fail(self, code: int = REFUSED) -> None:
        raise click.exceptions.Exit(code)


def exit_code(error: ServiceIntegrationError) -> int:
    """1 the hub refused, 3 it cannot be reached, 4 the key may not."""
    last = error.last_error if isinstance(error, MaxRetriesExceededError) else error
    if is_outage_of_hub(last):
        return UNREACHABLE
    if isinstance(error, (AuthenticationError, PermissionDeniedError)):
        return NOT_PERMITTED
    return REFUSED


def report(error: ServiceIntegrationError, *, as_json: bool) -> None:
    """Say on standard error what went wrong, every faulty field on a line."""
    fields = error.validation_errors if isinstance(error, ValidationError) else {}
    if as_json:
        about = {"code": error.code, "message": error.message, "errors": fields}
        click.echo(json.dumps({**about, "request_id": error.request_id}), err=True)
        return
    click.secho(error.message, fg="red", err=True)
    for path, sentences in fields.items():
        for sentence in sentences:
            click.echo(f"  {path}: {sentence}", err=True)
    if error.request_id:
        click.secho(f"  request {error.request_id}", dim=True, err=True)


_GIVEN = f"{__name__}.given"


def _keep(context: click.Context, option: click.Parameter, value: Any) -> None:
    """Note an option that stands on the line; that of a command comes after those before it."""
    name = str(option.name)
    if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
        context.meta.setdefault(_GIVEN, {})[name] = value


def _options() -> list[click.Option]:
    """What the program, its groups and its commands take alike."""
    said: dict[str, Any] = {"expose_value": False, "callback": _keep}
    where = "Such as http://localhost:8090; $SERVICE_INTEGRATION_URL unless given."
    wait = f"Seconds to wait for one answer.  [default: {DEFAULT_TIMEOUT_SECONDS}]"
    return [
        click.Option(["--url"], help=where, **said),
        click.Option(
            ["--api-key"],
            help="The key of the caller; $SERVICE_INTEGRATION_API_KEY unless given.",
            **said,
        ),
        click.Option(["--timeout"], type=float, help=wait, **said),
        click.Option(["--json"], is_flag=True, help="JSON for programs.", **said),
    ]


class HubGroup(click.Group):
    """A group of commands that takes before them what they take themselves."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params += _options()


def hub_group(**settings: Any) -> Callable[[Callable[..., Any]], HubGroup]:
    """Make a group of a function, whose docstring says what the commands are about."""
    return click.group(cls=HubGroup, **settings)


def _session(context: click.Context) -> Session:
    given = context.meta.get(_GIVEN, {})
    return Session(
        url=given.get("url"),
        api_key=given.get("api_key"),
        timeout=given.get("timeout", DEFAULT_TIMEOUT_SECONDS),
        as_json=given.get("json", False),
    )


def hub_command(group: click.Group, name: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command of a group whose function gets a `Session` first, and whose errors have codes."""

    def made(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(**given: Any) -> None:
            session = _session(click.get_current_context())
            try:
                function(session, **given)
            except ServiceIntegrationError as error:
                report(error, as_json=session.as_json)
                session.fail(exit_code(error))

        command = group.command(name)(run)
        command.params += _options()
        return command

    return made


def rows_of(
    get_page: Callable[..., Any], *, limit: int, **filters: Any
) -> tuple[list[Any], int | None]:
    """At most `limit` rows of a list, and how many there are in all."""
    rows: list[Any] = []
    total = None
    for answer in _pages(get_page, limit=limit, **filters):
        total = answer.get("total")
        rows.extend(answer["items"])
        if len(rows) >= limit:
            break
    return rows[:limit], total


def _pages(get_page: Callable[..., Any], *, limit: int, **filters: Any) -> Iterator[Any]:
    page, per_page = 1, min(limit, PAGE)
    while True:
        answer = get_page(page=page, per_page=per_page, **filters)
        yield answer
        if not answer.get("next"):
            return
        page += 1


def pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """`name=value` as a mapping. Raises: click.UsageError."""
    found = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark or not name:
            raise click.UsageError(f"{option} takes name=value, not '{text}'.")
        found[name] = value
    return found


def read_value(text: str) -> Any:
    """JSON where it is JSON, else the text itself."""
    try:
        return parse_json(text, unique_keys=True)
    except ValueError:
        return text
