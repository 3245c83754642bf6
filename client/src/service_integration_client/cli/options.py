"""Options and arguments that several commands take, and how their texts are read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from service_integration_client.strict_json import parse_json

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

SEARCH = click.option("--search", help="What the name or the description has.")
REASON = click.option("--reason", required=True, help="Why; everybody sees it.")
EXECUTION_FILTERS: tuple[Decorator, ...] = (
    click.option("--workflow", help="The name or id of a workflow."),
    click.option("--type", help="Such as PROJECT_PLANNING."),
    click.option("--correlation-id"),
    click.option("--after", "created_after", help="An RFC 3339 time."),
    click.option("--before", "created_before", help="An RFC 3339 time."),
)


def all_of(*options: Decorator) -> Decorator:
    """Return one decorator that adds these options, in their order."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def values_option(name: str, argument: str, *, help: str | None = None) -> Decorator:
    """Return an option of name=value that stands several times; its argument is a mapping."""

    def read(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> Any:
        return read_values(texts, name)

    metavar = "KEY=VALUE"
    return click.option(name, argument, multiple=True, metavar=metavar, help=help, callback=read)


def file_option(
    name: str, argument: str, *, help: str, of_list: str | None = None, required: bool = False
) -> Decorator:
    """Return an option of a file with a JSON object, see `read_object`; it is None without."""

    def read(context: click.Context, option: click.Parameter, file: Any) -> Any:
        return None if file is None else read_object(file.read(), name, of_list=of_list)

    return click.option(
        name, argument, type=click.File(), help=help, required=required, callback=read
    )


def takes_input(function: Callable[..., None]) -> Callable[..., None]:
    """Add --input and --input-file; together they are the argument `input_data`, or it is None."""

    @functools.wraps(function)
    def run(*, inputs: dict[str, Any], document: dict[str, Any] | None, **rest: Any) -> None:
        is_given = inputs or document is not None
        function(input_data={**(document or {}), **inputs} if is_given else None, **rest)

    values = values_option("--input", "inputs", help="A value may be JSON.")
    file = file_option("--input-file", "document", help="JSON; - is standard input.")
    return all_of(values, file)(run)


def read_object(text: str, source: str, *, of_list: str | None = None) -> dict[str, Any]:
    """Return a JSON object; a list becomes the field `of_list` of one. Raises: click.UsageError."""
    try:
        document = parse_json(text, unique_keys=True)
    except ValueError as error:
        raise click.UsageError(f"{source} is not JSON: {error}") from None
    if of_list and isinstance(document, list):
        return {of_list: document}
    if not isinstance(document, dict):
        raise click.UsageError(f"{source} must hold a JSON object.")
    return document


def read_values(texts: Iterable[str], option: str) -> dict[str, Any]:
    """Return `name=value` as a mapping, where a value may be JSON. Raises: click.UsageError."""
    return {name: read_value(text) for name, text in read_pairs(texts, option).items()}


def read_pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """Return `name=value` as a mapping of texts. Raises: click.UsageError."""
    pairs = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark or not name:
            raise click.UsageError(f"{option} takes name=value, not '{text}'.")
        pairs[name] = value
    return pairs


def read_value(text: str) -> Any:
    """Return the value of a JSON text, else the text itself."""
    try:
        return parse_json(text, unique_keys=True)
    except ValueError:
        return text
