"""Reads one step."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from core.expressions import join_path
from workflows.definition.actions import complete_action, read_compensation
from workflows.definition.containers import complete_map, complete_parallel
from workflows.definition.fields import FieldReader, show
from workflows.definition.kinds import COMMON_KEYS, KINDS
from workflows.definition.model import Step
from workflows.definition.retry import Defaults
from workflows.definition.routes import read_fallback, read_next, read_on_error
from workflows.definition.waits import (
    complete_approval,
    complete_event,
    complete_wait,
    complete_workflow,
)

_STEP_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}\Z")


def read_step(reader: FieldReader, document: Any, path: str, defaults: Defaults) -> Step | None:
    """Read a step without those inside of it; None without a usable id."""
    if not isinstance(document, dict):
        reader.refuse(path, "A step must be an object with an 'id'.")
        return None
    kind = _kind(reader, document, path)
    if kind is not None:
        _check_keys(reader, document, path, kind)
    step = _common(reader, document, path, kind or "ACTION")
    if step is None or kind is None:
        return step
    step = _failure(reader, step, document, path, defaults)
    if kind == "ACTION":
        return complete_action(reader, step, document, path, defaults)
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


def _failure(
    reader: FieldReader, step: Step, document: dict[str, Any], path: str, defaults: Defaults
) -> Step:
    """Add what becomes of the step's failures, and how it is undone."""
    keys = KINDS[step.kind].keys
    if "compensate" in keys:
        value = document.get("compensate")
        undo = read_compensation(reader, value, f"{path}.compensate", defaults)
        step = replace(step, compensate=undo)
    if "fallback" not in keys:
        return step
    return replace(
        step,
        optional=reader.flag(document, "optional", path),
        fallback=read_fallback(reader, document.get("fallback"), f"{path}.fallback"),
        on_error=read_on_error(reader, document.get("on_error"), f"{path}.on_error"),
    )


def _kind(reader: FieldReader, document: dict[str, Any], path: str) -> str | None:
    written = document.get("type")
    value = "ACTION" if written is None else written
    kind = value.strip().upper() if isinstance(value, str) else ""
    if kind in KINDS:
        return kind
    close = reader.suggest(kind, KINDS) if kind else "."
    sentence = f"{show(value)} is not a type of step{close} Use {', '.join(KINDS)}."
    reader.refuse(f"{path}.type", sentence)
    return None


def _check_keys(reader: FieldReader, document: dict[str, Any], path: str, kind: str) -> None:
    allowed = (*COMMON_KEYS, *KINDS[kind].keys)
    reader.keys(document, path, allowed, f"A step of type {kind}")
    for key in KINDS[kind].required:
        if document.get(key) is None:
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
    if document.get("output") is None:
        return step
    return replace(step, output=reader.output(document, path))


def _complete_choice(reader: FieldReader, step: Step, document: dict[str, Any], path: str) -> Step:
    if not isinstance(document.get("next"), list | None):
        reader.refuse(
            f"{path}.next",
            'A CHOICE needs a list such as [{"when": "input.urgent", "step": "call"}, '
            '{"step": "wait"}].',
        )
    return step


def _complete_fail(reader: FieldReader, step: Step, document: dict[str, Any], path: str) -> Step:
    _check_ending(reader, step, path)
    error = document.get("error")
    error_path = f"{path}.error"
    if isinstance(error, dict):
        reader.keys(error, error_path, ("code", "message"), "An error")
        if "message" not in error:
            reader.refuse(f"{error_path}.message", "An error needs a 'message'.")
        for key in ("code", "message"):
            if key in error and not isinstance(error[key], str):
                reader.refuse(f"{error_path}.{key}", f"'{key}' must be a text.")
    elif not isinstance(error, str):
        if error is not None:
            reader.refuse(
                error_path, "'error' must be a text, or an object with 'code' and 'message'."
            )
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
            f"A {step.kind} step is an end; without a 'when' nothing follows it.",
        )


_COMPLETE: Mapping[str, Callable[[FieldReader, Step, dict[str, Any], str], Step]] = {
    "TRANSFORM": _complete_transform,
    "CHOICE": _complete_choice,
    "PARALLEL": complete_parallel,
    "MAP": complete_map,
    "WAIT": complete_wait,
    "EVENT": complete_event,
    "APPROVAL": complete_approval,
    "WORKFLOW": complete_workflow,
    "FAIL": _complete_fail,
    "SUCCEED": _complete_succeed,
}
