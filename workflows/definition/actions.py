"""Reads calls: those of an ACTION, and the compensation of a step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.expressions import Template
from core.unknown_fields import UnknownFields
from registry.calls.targets.connection_action import parse_connection_action
from registry.calls.targets.request_action import request_in
from workflows.definition.fields import FieldReader, is_expression
from workflows.definition.kinds import CALL_KEYS, TARGET_KINDS
from workflows.definition.model import NO_RETRY, Compensation, RetryPolicy, Step, StepTarget
from workflows.definition.retry import Defaults, read_retry, read_timeout

# As long as the column that keeps it.
LONGEST_AIM = 100


def complete_action(
    reader: FieldReader, step: Step, document: dict[str, Any], path: str, defaults: Defaults
) -> Step:
    """Add whom an ACTION calls, and how."""
    return replace(step, **_call(reader, document, path, defaults, owner="A step"))


def read_compensation(
    reader: FieldReader, value: Any, path: str, defaults: Defaults
) -> Compensation | None:
    """Read the call that undoes a step."""
    if value is None:
        return None
    if not isinstance(value, dict):
        reader.refuse(path, 'A compensation is a call such as {"service": "s", "action": "undo"}.')
        return None
    reader.keys(value, path, CALL_KEYS, "A compensation")
    call = _call(reader, value, path, defaults, owner="A compensation")
    return None if call["target"] is None else Compensation(**call)


def _call(
    reader: FieldReader, document: dict[str, Any], path: str, defaults: Defaults, *, owner: str
) -> dict[str, Any]:
    retry, timeout = defaults.retry, defaults.timeout
    if document.get("retry") is not None:
        base = RetryPolicy() if retry is NO_RETRY else retry
        retry = read_retry(reader, document["retry"], f"{path}.retry", base)
    if document.get("timeout") is not None:
        timeout = read_timeout(reader, document["timeout"], f"{path}.timeout")
    target = _target(reader, document, path, owner)
    of_connection = target is not None and target.kind == "connection"
    read_action = _aim if of_connection else _action
    return {
        "target": target,
        "action": read_action(reader, document, path, owner),
        "input": read_input(reader, document, path),
        "unknown_fields": _unknown_fields(reader, document, path, of_connection),
        "retry": retry,
        "timeout": timeout,
    }


def _target(
    reader: FieldReader, document: dict[str, Any], path: str, owner: str
) -> StepTarget | None:
    named = [kind for kind in TARGET_KINDS if document.get(kind) is not None]
    if not named:
        reader.refuse(
            f"{path}.service",
            f"{owner} needs 'service', 'service_type', 'connection' or 'integration': who is"
            " called.",
        )
        return None
    for extra in named[1:]:
        reader.refuse(
            f"{path}.{extra}", f"'{named[0]}' already says who is called; keep one of them."
        )
    name = reader.text(document, named[0], path, longest=255)
    if name is None:
        return None
    return StepTarget(named[0], name.upper() if named[0] == "service_type" else name)


def _action(reader: FieldReader, document: dict[str, Any], path: str, owner: str) -> str | None:
    if document.get("action") is None:
        if document.get("integration") is None:
            reader.refuse(f"{path}.action", f"{owner} needs 'action': what is called there.")
        return None
    text = reader.text(document, "action", path, longest=255)
    return _request(reader, text, path) if text and "/" in text else text


def _request(reader: FieldReader, text: str, path: str) -> str | None:
    """Return a method and a path of a service, as they are recorded."""
    try:
        request = request_in(text)
    except ValueError:
        request = None
    if request is None or len(" ".join(request)) > LONGEST_AIM:
        reader.refuse(
            f"{path}.action",
            "Of a service, this is the name of an action, or a method and a path without query of"
            f" at most {LONGEST_AIM} characters, such as GET /projects/{{project_id}}.",
        )
        return None
    return " ".join(request)


def _aim(reader: FieldReader, document: dict[str, Any], path: str, _: str) -> str | None:
    """Return what of a connection is called, as it is recorded."""
    if document.get("action") is None:
        return None
    text = reader.text(document, "action", path, longest=LONGEST_AIM)
    try:
        return None if text is None else " ".join(parse_connection_action(text)).strip()
    except ValueError as error:
        reader.refuse(f"{path}.action", str(error))
        return None


def _unknown_fields(
    reader: FieldReader, document: dict[str, Any], path: str, of_connection: bool
) -> str | None:
    value = document.get("unknown_fields")
    if value is None:
        return None
    if of_connection:
        reader.refuse(
            f"{path}.unknown_fields", "Of a connection no fields are known; leave this out."
        )
        return None
    return reader.word(value, f"{path}.unknown_fields", tuple(UnknownFields.values))


def read_input(reader: FieldReader, document: dict[str, Any], path: str) -> Template | None:
    """Read what is given: an object, or an expression that gives one."""
    value = document.get("input")
    if value is None:
        return None
    if not isinstance(value, dict) and not is_expression(value):
        reader.refuse(
            f"{path}.input", "'input' must be an object, or an expression such as $.input."
        )
        return None
    return reader.template(document, "input", path)
