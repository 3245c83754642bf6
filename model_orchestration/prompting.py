"""Templates of prompts: checked, and filled in with the values of their variables (pure)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.suggestions import did_you_mean

ROLES = ("system", "user", "assistant")
MOST_MESSAGES, MOST_VARIABLES = 50, 50
LONGEST_TEMPLATE = 100_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,49}")
# {{ name }}, and nothing that has to be computed.
_PLACE = re.compile(r"\{\{\s{0,10}([A-Za-z0-9_]{1,60})\s{0,10}\}\}")
_OF_VARIABLES = frozenset({"name", "description", "default"})

Messages = Sequence[Mapping[str, Any]]
Variables = Sequence[Mapping[str, Any]]


class PromptRefused(ValueError):
    """A template, or what it is filled in with, cannot be used; at a field."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


def check_messages(messages: Any) -> None:
    """Refuse what are not messages of a template. Raises: PromptRefused."""
    if not isinstance(messages, list) or not 0 < len(messages) <= MOST_MESSAGES:
        raise PromptRefused("messages", f"Give 1 to {MOST_MESSAGES} messages.")
    for place, message in enumerate(messages):
        at = f"messages[{place}]"
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            raise PromptRefused(at, 'Give {"role": "user", "content": "Say {{what}}."}.')
        if message["role"] not in ROLES:
            raise PromptRefused(f"{at}.role", f"Use one of: {', '.join(ROLES)}.")
        content = message["content"]
        if not isinstance(content, str) or not 0 < len(content) <= LONGEST_TEMPLATE:
            raise PromptRefused(f"{at}.content", f"Give a text of up to {LONGEST_TEMPLATE:,}.")


def check_variables(variables: Any) -> None:
    """Refuse what are not declarations of variables. Raises: PromptRefused."""
    if not isinstance(variables, list) or len(variables) > MOST_VARIABLES:
        raise PromptRefused("variables", f"Give a list of at most {MOST_VARIABLES} variables.")
    names = set()
    for place, variable in enumerate(variables):
        at = f"variables[{place}]"
        if not isinstance(variable, dict) or set(variable) - _OF_VARIABLES:
            raise PromptRefused(at, 'Give {"name": "what", "description": "", "default": ""}.')
        name = variable.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PromptRefused(f"{at}.name", "Use letters, digits and underscores.")
        if name in names:
            raise PromptRefused(f"{at}.name", f"'{name}' is declared twice.")
        names.add(name)
        if not isinstance(variable.get("description", ""), str):
            raise PromptRefused(f"{at}.description", "Must be a text.")


def check_template(messages: Any, variables: Any) -> None:
    """Refuse a template whose messages use other variables than it declares.

    Raises:
        PromptRefused
    """
    check_messages(messages)
    check_variables(variables)
    declared = [each["name"] for each in variables]
    used = set()
    for place, message in enumerate(messages):
        for name in _PLACE.findall(message["content"]):
            if name not in declared:
                close = did_you_mean(name, declared)
                raise PromptRefused(
                    "variables", f"messages[{place}] uses '{name}', which is not declared{close}"
                )
            used.add(name)
    for place, name in enumerate(declared):
        if name not in used:
            raise PromptRefused(f"variables[{place}].name", f"No message uses '{name}'.")


def fill_in(messages: Messages, variables: Variables, values: Any) -> list[dict[str, Any]]:
    """Return the messages with these values, which may be any JSON, in place of the variables.

    What a value says is not read as a template again.

    Raises:
        PromptRefused: a value is missing, or of no variable.
    """
    if not isinstance(values, Mapping):
        raise PromptRefused("variables", "Must be an object of the values of variables.")
    declared = {each["name"]: each for each in variables}
    for name in values:
        if name not in declared:
            close = did_you_mean(name, [*declared])
            raise PromptRefused("variables", f"'{str(name)[:50]}' is no variable of it{close}")
    texts = dict(_texts(declared, values))
    return [
        {**each, "content": _PLACE.sub(lambda place: texts[place[1]], each["content"])}
        for each in messages
    ]


def _texts(
    declared: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    for name, variable in declared.items():
        value = values.get(name)
        if value is None:
            value = variable.get("default")
        if value is None:
            raise PromptRefused(f"variables.{name}", "Give a value: it has no default.")
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
