"""Reads steps that call nobody and go on later: WAIT, EVENT, APPROVAL and WORKFLOW."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.expressions import Template
from core.instants import InstantRefused, parse_instant
from core.json.schema import check_schema
from workflows.definition.actions import read_input
from workflows.definition.fields import FieldReader, is_expression, show
from workflows.definition.model import Step
from workflows.definition.retry import MAX_WAIT_SECONDS, read_timeout

MAX_EVENT_NAME = 200
MAX_PEOPLE = 100
MAX_PERSON = 150
ON_TIMEOUT = ("FAIL", "APPROVE", "REJECT")


def complete_wait(reader: FieldReader, step: Step, document: dict[str, Any], path: str) -> Step:
    """Add how long, or until when, a WAIT waits."""
    keys = [key for key in ("seconds", "until") if document.get(key) is not None]
    if not keys:
        reader.refuse(f"{path}.seconds", "A step of type WAIT needs 'seconds' or 'until'.")
    elif len(keys) > 1:
        reader.refuse(f"{path}.until", "'seconds' already says how long; keep one of them.")
    return replace(
        step,
        seconds=_seconds(reader, document, "seconds", path),
        until=_time(reader, document, "until", path),
    )


def complete_event(reader: FieldReader, step: Step, document: dict[str, Any], path: str) -> Step:
    """Add which event is waited for, and for how long."""
    name = reader.text(document, "event", path, longest=None)
    event = None
    if name is not None and len(name) > MAX_EVENT_NAME and not is_expression(name):
        reader.refuse(f"{path}.event", f"'event' is longer than {MAX_EVENT_NAME} characters.")
    elif name is not None:
        event = reader.template({"event": name}, "event", path)
    return replace(
        step,
        event=event,
        match=reader.expression(document.get("match"), f"{path}.match"),
        timeout=_long_timeout(reader, document, path),
    )


def complete_approval(reader: FieldReader, step: Step, document: dict[str, Any], path: str) -> Step:
    """Add who decides, on what form, by when, and what holds when nobody does."""
    for key, needed in (("escalate_to", "due"), ("on_timeout", "timeout")):
        if document.get(key) is not None and document.get(needed) is None:
            reader.refuse(f"{path}.{key}", f"'{key}' needs '{needed}', which says when it holds.")
    return replace(
        step,
        input=read_input(reader, document, path),
        assignees=_people(reader, document, "assignees", path),
        form=_form(reader, document.get("form"), f"{path}.form"),
        due=_due(reader, document, path),
        escalate_to=_people(reader, document, "escalate_to", path),
        on_timeout=_on_timeout(reader, document.get("on_timeout"), f"{path}.on_timeout"),
        minimum=_minimum(reader, document.get("minimum"), f"{path}.minimum"),
        timeout=_long_timeout(reader, document, path),
    )


def complete_workflow(reader: FieldReader, step: Step, document: dict[str, Any], path: str) -> Step:
    """Add which workflow is run, and with what."""
    version = document.get("version")
    return replace(
        step,
        workflow=reader.text(document, "workflow", path, longest=255),
        version=None
        if version is None
        else reader.whole_number(version, f"{path}.version", least=1, most=2**31 - 1),
        input=read_input(reader, document, path),
        timeout=_long_timeout(reader, document, path),
    )


def _long_timeout(reader: FieldReader, document: dict[str, Any], path: str) -> float | None:
    return read_timeout(reader, document.get("timeout"), f"{path}.timeout", most=MAX_WAIT_SECONDS)


def _due(reader: FieldReader, document: dict[str, Any], path: str) -> Template | None:
    """Read a number of seconds, an ISO time, or an expression that gives either."""
    is_text = isinstance(document.get("due"), str)
    return (_time if is_text else _seconds)(reader, document, "due", path)


def _seconds(reader: FieldReader, document: dict[str, Any], key: str, path: str) -> Template | None:
    value = document.get(key)
    if value is None:
        return None
    key_path = f"{path}.{key}"
    if not is_expression(value) and (
        reader.seconds(value, key_path, least=0, most=MAX_WAIT_SECONDS) is None
    ):
        return None
    return reader.template(document, key, path)


def _time(reader: FieldReader, document: dict[str, Any], key: str, path: str) -> Template | None:
    value = document.get(key)
    if value is None:
        return None
    if not is_expression(value):
        try:
            parse_instant(value)
        except InstantRefused as error:
            reader.refuse(f"{path}.{key}", f"{show(value)}: {error} Or write an expression.")
            return None
    return reader.template(document, key, path)


def _people(reader: FieldReader, document: dict[str, Any], key: str, path: str) -> tuple[str, ...]:
    value = document.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not 0 < len(value) <= MAX_PEOPLE:
        reader.refuse(
            f"{path}.{key}", f"'{key}' must be a list of 1 to {MAX_PEOPLE} users or groups."
        )
        return ()
    names = []
    for index, entry in enumerate(value):
        name = entry.strip() if isinstance(entry, str) else ""
        if 0 < len(name) <= MAX_PERSON and not is_expression(name):
            names.append(name)
        else:
            reader.refuse(
                f"{path}.{key}[{index}]",
                f"{show(entry)} is not the name of a user or group, 1 to {MAX_PERSON} characters.",
            )
    return tuple(dict.fromkeys(names))


def _form(reader: FieldReader, value: Any, path: str) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        reader.refuse(path, f"'form' must be a JSON Schema, an object, not {show(value)}.")
        return None
    problem = check_schema(value)
    if problem is not None:
        reader.refuse(path, f"'form' is not a valid JSON Schema: {problem}.")
        return None
    return value


def _on_timeout(reader: FieldReader, value: Any, path: str) -> str:
    return "FAIL" if value is None else reader.word(value, path, ON_TIMEOUT) or "FAIL"


def _minimum(reader: FieldReader, value: Any, path: str) -> int:
    if value is None:
        return 1
    return reader.whole_number(value, path, least=1, most=MAX_PEOPLE) or 1
