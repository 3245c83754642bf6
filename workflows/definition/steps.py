"""Reading one step."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from workflows.definition.actions import complete_action
from workflows.definition.fields import FieldReader, show
from workflows.definition.kinds import COMMON_KEYS, KINDS, LATER_KINDS
from workflows.definition.routes import read_next
from workflows.definition.values import RetryPolicy, Step
from workflows.expressions import join_path

_STEP_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}\Z")


def read_step(
    reader: FieldReader, document: Any, path: str, *, retry: RetryPolicy, timeout: float | None
) -> Step | None:
    """Read a step; None without a usable id. `retry` and `timeout` hold where it says nothing."""
    if not isinstance(document, dict):
        reader.refuse(path, "A step must be an object with an 'id'.")
        return None
    kind = _kind(reader, document, path)
    if kind is not None:
        _check_keys(reader, document, path, kind)
    step = _common(reader, document, path, kind or "ACTION")
    if step is None or kind is None:
        return step
    if kind == "ACTION":
        return complete_action(reader, step, document, path, retry=retry, timeout=timeout)
    return _COMPLETE[kind](reader, step, document, path)


def _common(reader: FieldReader, document: dict[str, Any], path: str, kind: str) -> Step | None:
    """Read what every step says."""
    step_id = _step_id(reader, document, path)
    if step_id is None:
        return None
    return Step(
        id=step_id,
        name=reader.text(document, "name", path, longest=200) or step_id,
        kind=kind,
        when=reader.expression(document.get("when"), f"{path}.when"),
        next=read_next(reader, document.get("next"), f"{path}.next"),
        max_visits=_max_visits(reader, document, path),
    )


def _kind(reader: FieldReader, document: dict[str, Any], path: str) -> str | None:
    written = document.get("type")
    kind = "ACTION" if written is None else written
    supported = ", ".join(KINDS)
    if isinstance(kind, str) and kind.strip().upper() in KINDS:
        return kind.strip().upper()
    if isinstance(kind, str) and kind.strip().upper() in LATER_KINDS:
        sentence = f"{kind.strip().upper()} steps are not supported yet; use {supported}."
    else:
        sentence = f"{show(kind)} is not a type of step; use {supported}."
    reader.refuse(f"{path}.type", sentence)
    return None


def _check_keys(reader: FieldReader, document: dict[str, Any], path: str, kind: str) -> None:
    allowed = (*COMMON_KEYS, *KINDS[kind].keys)
    reader.keys(document, path, allowed, f"A step of type {kind}")
    for key in KINDS[kind].required:
        if key not in document:
            reader.refuse(join_path(path, key), f"A step of type {kind} needs '{key}'.")


def _step_id(reader: FieldReader, document: dict[str, Any], path: str) -> str | None:
    step_id = document.get("id")
    if step_id is None:
        reader.refuse(f"{path}.id", "Every step needs an 'id'.")
    elif not isinstance(step_id, str) or not _STEP_ID.match(step_id):
        reader.refuse(
            f"{path}.id",
            f"{show(step_id)} is not an id; use 1 to 100 letters, digits, dashes, underscores "
            "and dots.",
        )
    else:
        return step_id
    return None


def _max_visits(reader: FieldReader, document: dict[str, Any], path: str) -> int | None:
    value = document.get("max_visits")
    if value is None:
        return None
    return reader.whole_number(value, f"{path}.max_visits", least=1, most=10_000)


def _complete_transform(
    reader: FieldReader, step: Step, document: dict[str, Any], path: str
) -> Step:
    if "output" not in document:
        return step
    return replace(step, output=reader.output(document, path))


def _complete_choice(reader: FieldReader, step: Step, document: dict[str, Any], path: str) -> Step:
    if "next" in document and not isinstance(document["next"], list):
        reader.refuse(
            f"{path}.next",
            'A CHOICE needs a list such as [{"when": "input.urgent", "step": "call"}, '
            '{"step": "wait"}].',
        )
    return step


def _complete_fail(reader: FieldReader, step: Step, document: dict[str, Any], path: str) -> Step:
    _check_ending(reader, step, path)
    error = document.get("error")
    place = f"{path}.error"
    if isinstance(error, dict):
        reader.keys(error, place, ("code", "message"), "An error")
        if "message" not in error:
            reader.refuse(f"{place}.message", "An error needs a 'message'.")
        for key in ("code", "message"):
            if key in error and not isinstance(error[key], str):
                reader.refuse(f"{place}.{key}", f"'{key}' must be a text.")
    elif not isinstance(error, str):
        if "error" in document:
            reader.refuse(place, "'error' must be a text, or an object with 'code' and 'message'.")
        return step
    return replace(step, error=reader.template(document, "error", path))


def _complete_succeed(reader: FieldReader, step: Step, document: dict[str, Any], path: str) -> Step:
    _check_ending(reader, step, path)
    if document.get("output") is None:
        return step
    return replace(step, output=reader.output(document, path))


def _check_ending(reader: FieldReader, step: Step, path: str) -> None:
    if step.when is None and any(route.step is not None for route in step.next):
        reader.refuse(
            f"{path}.next",
            f"A {step.kind} step ends the workflow; without a 'when' nothing follows it.",
        )


_COMPLETE: Mapping[str, Callable[[FieldReader, Step, dict[str, Any], str], Step]] = {
    "TRANSFORM": _complete_transform,
    "CHOICE": _complete_choice,
    "FAIL": _complete_fail,
    "SUCCEED": _complete_succeed,
}
