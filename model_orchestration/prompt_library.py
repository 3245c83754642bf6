"""Puts the messages of stored prompts into requests that name them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.suggestions import no_such_row
from model_orchestration.exceptions import InvalidModelRequest
from model_orchestration.models import Prompt, PromptVersion
from model_orchestration.prompting import PromptRefused, fill_in

FIELD = "prompt"
_OF_REFERENCE = ("name", "version", "variables")


def names_prompt(body: Mapping[str, Any]) -> bool:
    """Return whether a chat names a prompt, whose messages have to be looked up."""
    return body.get(FIELD) is not None


def with_prompt(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a chat with the messages of the prompt that it names before its own.

    Raises:
        InvalidModelRequest: there is no such prompt or version, or it cannot be filled in.
    """
    if not names_prompt(body):
        return body
    reference = body[FIELD]
    if not isinstance(reference, dict):
        sentence = 'Give {"name": "summary", "variables": {}}. What is asked goes into messages.'
        raise InvalidModelRequest.at(FIELD, sentence)
    if unknown := next((name for name in reference if name not in _OF_REFERENCE), None):
        raise InvalidModelRequest.at(
            f"{FIELD}.{str(unknown)[:50]}", f"Use: {', '.join(_OF_REFERENCE)}."
        )
    template = find_version(reference.get("name"), reference.get("version"))
    own = body.get("messages")
    if own is not None and not isinstance(own, list):
        raise InvalidModelRequest.at("messages", "Must be a list of messages.")
    filled = filled_in(template, reference.get("variables"))
    rest = {name: value for name, value in body.items() if name != FIELD}
    return {**rest, "messages": [*filled, *(own or [])]}


def filled_in(template: Prompt | PromptVersion, values: Any) -> list[dict[str, Any]]:
    """Return the messages of a template with these values. Raises: InvalidModelRequest."""
    try:
        return fill_in(template.messages, template.variables, {} if values is None else values)
    except PromptRefused as error:
        raise InvalidModelRequest.at(f"{FIELD}.{error.field}", str(error)) from None


def find_version(name: Any, number: Any) -> Prompt | PromptVersion:
    """Return a version of a prompt, the latest without a number. Raises: InvalidModelRequest."""
    if not isinstance(name, str) or not name.strip():
        raise InvalidModelRequest.at(f"{FIELD}.name", "Give the name of a prompt.")
    prompt = Prompt.objects.find(name)
    if prompt is None:
        raise InvalidModelRequest.at(f"{FIELD}.name", no_such_row(Prompt.objects, name))
    if number is None:
        return prompt
    if type(number) is not int or not 1 <= number <= prompt.version:
        sentence = f"'{prompt.name}' has the versions 1 to {prompt.version}."
        raise InvalidModelRequest.at(f"{FIELD}.version", sentence)
    return PromptVersion.objects.get(prompt=prompt, number=number)
