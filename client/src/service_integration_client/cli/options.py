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


def takes_input(function: Callable[..., None]) -> Callable[..., None]:
    """Add --input and --input-file; together they are the argument `input_data`, or it is None."""

    @functools.wraps(function)
    def run(*, inputs: Sequence[str], input_file: Any, **rest: Any) -> None:
        fields = read_file(input_file, "--input-file") if input_file else {}
        fields.update(read_values(inputs, "--input"))
        function(input_data=fields if inputs or input_file else None, **rest)

    inputs = click.option(
        "--input", "inputs", multiple=True, metavar="KEY=VALUE", help="A value may be JSON."
    )
    input_file = click.option("--input-file", type=click.File(), help="JSON; - is standard input.")
    return all_of(inputs, input_file)(run)


def read_file(file: Any, option: str, *, of_list: str | None = None) -> dict[str, Any]:
    """Return the JSON object in an open file; see `read_object`."""
    return read_object(file.read(), option, of_list=of_list)


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
