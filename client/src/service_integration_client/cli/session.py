"""Gives every command a client, somewhere to print, and one way to fail."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click
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

REFUSED, UNREACHABLE, NOT_PERMITTED, INTERRUPTED = 1, 3, 4, 130
PAGE = 100


class Session:
    """One run of a command."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """`options` are those of --url, --api-key, --timeout and --json that were given."""
        self.as_json: bool = options.get("json", False)
        self._options = options
        # Neither is a table cut to the width of a pipe, nor is there colour in one.
        width = None if sys.stdout.isatty() else 200
        self.console = Console(highlight=False, width=width)

    @functools.cached_property
    def client(self) -> SyncServiceIntegrationClient:
        timeout = self._options.get("timeout", DEFAULT_TIMEOUT_SECONDS)
        try:
            return SyncServiceIntegrationClient(
                self._options.get("url"), timeout, self._options.get("api_key")
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from None

    @property
    def is_live(self) -> bool:
        """Return whether a person looks on, for whom lines may be drawn anew."""
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
        if total is not None and total > len(rows) and not self.as_json:
            self.console.print(f"{len(rows)} of {total}: --limit shows more.", markup=False)

    def fail(self, code: int = REFUSED) -> None:
        raise click.exceptions.Exit(code)


def exit_code(error: ServiceIntegrationError) -> int:
    """Return 1 where the hub refused, 3 where it cannot be reached, 4 where the key may not."""
    last = error.last_error if isinstance(error, MaxRetriesExceededError) else error
    if is_outage_of_hub(last):
        return UNREACHABLE
    if isinstance(error, (AuthenticationError, PermissionDeniedError)):
        return NOT_PERMITTED
    return REFUSED


def report(error: ServiceIntegrationError, *, as_json: bool) -> None:
    """Print on standard error what went wrong, every faulty field on a line."""
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


def rows_of(
    get_page: Callable[..., Any], *, limit: int, **filters: Any
) -> tuple[list[Any], int | None]:
    """Return at most `limit` rows of a list, and how many there are in all."""
    rows: list[Any] = []
    page, answer = 0, {"next": True}
    while len(rows) < limit and answer.get("next"):
        page += 1
        answer = get_page(page=page, per_page=min(limit, PAGE), **filters)
        rows += answer["items"]
    return rows[:limit], answer.get("total")
