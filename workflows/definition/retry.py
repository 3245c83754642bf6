"""Reading retry policies and timeouts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from workflows.definition.fields import FieldReader, show
from workflows.definition.values import MAX_RETRY_AFTER_SECONDS, RetryPolicy

MAX_TIMEOUT_SECONDS = 3_600
MAX_ELAPSED_SECONDS = 30 * 24 * 3_600

BACKOFFS = ("EXPONENTIAL", "LINEAR", "FIXED")
RETRY_KINDS = ("TIMEOUT", "CONNECTION", "UNAVAILABLE", "RESPONSE", "OTHER")

_RETRY_ENTRY = re.compile(r"([1-5]XX|[1-5][0-9][0-9]|[A-Z][A-Z0-9_.-]{0,99})\Z")


def read_timeout(reader: FieldReader, value: Any, path: str) -> float | None:
    """Read the seconds that one attempt may take."""
    return reader.seconds(value, path, least=0.001, most=MAX_TIMEOUT_SECONDS)


def read_retry(reader: FieldReader, value: Any, path: str, base: RetryPolicy) -> RetryPolicy:
    """Read a policy; what it does not say is as in `base`."""
    if not isinstance(value, dict):
        reader.refuse(path, 'A retry is an object such as {"max_attempts": 3}.')
        return base
    reader.keys(value, path, tuple(part.name for part in fields(RetryPolicy)), "A retry")
    said: dict[str, Any] = {}
    for key, given in value.items():
        if given is not None and key in _PARTS:
            said[key] = _PARTS[key](reader, given, f"{path}.{key}")
    said = {key: given for key, given in said.items() if given is not None}
    policy = replace(base, **said)
    if policy.base_delay > policy.max_delay:
        if "max_delay" in said:
            reader.refuse(f"{path}.max_delay", "'max_delay' must not be below 'base_delay'.")
        policy = replace(policy, max_delay=policy.base_delay)
    return policy


def _max_attempts(reader: FieldReader, value: Any, path: str) -> int | None:
    return reader.whole_number(value, path, least=1, most=1_000)


def _delay(reader: FieldReader, value: Any, path: str) -> float | None:
    return reader.seconds(value, path, least=0, most=MAX_RETRY_AFTER_SECONDS)


def _max_elapsed(reader: FieldReader, value: Any, path: str) -> float | None:
    return reader.seconds(value, path, least=0, most=MAX_ELAPSED_SECONDS)


def _backoff(reader: FieldReader, value: Any, path: str) -> str | None:
    if isinstance(value, str) and value.strip().upper() in BACKOFFS:
        return value.strip().upper()
    reader.refuse(path, f"{show(value)} is not a backoff; use {', '.join(BACKOFFS)}.")
    return None


def _on(reader: FieldReader, value: Any, path: str) -> tuple[str, ...] | None:
    if not isinstance(value, list) or len(value) > 50:
        reader.refuse(path, "'on' must be a list of at most 50 entries.")
        return None
    names = []
    for index, entry in enumerate(value):
        name = str(entry).strip().upper() if type(entry) in (str, int) else ""
        if _RETRY_ENTRY.match(name):
            names.append(name)
        else:
            reader.refuse(
                f"{path}[{index}]",
                f"{show(entry)} is not a reason to retry; use {', '.join(RETRY_KINDS)}, a "
                "status such as 429, a class such as 5XX, or an error code.",
            )
    return tuple(dict.fromkeys(names))


_PARTS: Mapping[str, Callable[[FieldReader, Any, str], Any]] = {
    "max_attempts": _max_attempts,
    "base_delay": _delay,
    "max_delay": _delay,
    "max_elapsed": _max_elapsed,
    "backoff": _backoff,
    "jitter": FieldReader.boolean,
    "on": _on,
}
