"""Reading what only an ACTION says: whom it calls, and with what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from workflows.definition.fields import FieldReader
from workflows.definition.kinds import TARGET_KINDS
from workflows.definition.retry import read_retry, read_timeout
from workflows.definition.routes import read_fallback
from workflows.definition.values import NO_RETRY, RetryPolicy, Step, Target
from workflows.expressions import Template


def complete_action(
    reader: FieldReader,
    step: Step,
    document: dict[str, Any],
    path: str,
    *,
    retry: RetryPolicy,
    timeout: float | None,
) -> Step:
    """Add what an ACTION says; `retry` and `timeout` hold where it says nothing."""
    if document.get("retry") is not None:
        base = RetryPolicy() if retry is NO_RETRY else retry
        retry = read_retry(reader, document["retry"], f"{path}.retry", base)
    if document.get("timeout") is not None:
        timeout = read_timeout(reader, document["timeout"], f"{path}.timeout")
    return replace(
        step,
        target=_target(reader, document, path),
        action=_action(reader, document, path),
        input=_input(reader, document, path),
        retry=retry,
        timeout=timeout,
        optional=reader.flag(document, "optional", path),
        fallback=read_fallback(reader, document.get("fallback"), f"{path}.fallback"),
    )


def _target(reader: FieldReader, document: dict[str, Any], path: str) -> Target | None:
    named = [kind for kind in TARGET_KINDS if document.get(kind) is not None]
    if not named:
        reader.refuse(f"{path}.service", "A step needs 'service' or 'service_type': who is called.")
        return None
    for extra in named[1:]:
        reader.refuse(
            f"{path}.{extra}", f"'{named[0]}' already says who is called; keep one of them."
        )
    name = reader.text(document, named[0], path, longest=255)
    if name is None:
        return None
    return Target(named[0], name.upper() if named[0] == "service_type" else name)


def _action(reader: FieldReader, document: dict[str, Any], path: str) -> str | None:
    if document.get("action") is None and document.get("integration") is None:
        reader.refuse(f"{path}.action", "A step needs 'action': what is called there.")
        return None
    return reader.text(document, "action", path, longest=255)


def _input(reader: FieldReader, document: dict[str, Any], path: str) -> Template | None:
    value = document.get("input")
    if value is None:
        return None
    if not isinstance(value, dict) and not (isinstance(value, str) and value.startswith("$.")):
        reader.refuse(
            f"{path}.input", "'input' must be an object, or an expression such as $.input."
        )
        return None
    return reader.template(document, "input", path)
