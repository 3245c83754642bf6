"""Reads retry policies and timeouts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from workflows.definition.fields import FieldReader, show
from workflows.definition.model import MAX_RETRY_AFTER_SECONDS, NO_RETRY, RetryPolicy

MAX_TIMEOUT_SECONDS = 3_600
MAX_ELAPSED_SECONDS = 30 * 24 * 3_600
MAX_ATTEMPTS = 1_000
# What waits for an event, for people or for another execution, and executions themselves.
MAX_WAIT_SECONDS = 366 * 24 * 3_600

BACKOFFS = ("EXPONENTIAL", "LINEAR", "FIXED")
RETRY_KINDS = ("TIMEOUT", "CONNECTION", "UNAVAILABLE", "RESPONSE", "OTHER")

_RETRY_ENTRY = re.compile(r"([1-5]XX|[1-5][0-9][0-9]|[A-Z][A-Z0-9_.-]{0,99})\Z")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for calls that say nothing of it."""

    retry: RetryPolicy = NO_RETRY
    timeout: float | None = None


def read_timeout(
    reader: FieldReader, value: Any, path: str, *, most: float = MAX_TIMEOUT_SECONDS
) -> float | None:
    """Read how many seconds something may take."""
    return None if value is None else reader.seconds(value, path, least=0.001, most=most)


def read_retry(reader: FieldReader, value: Any, path: str, base: RetryPolicy) -> RetryPolicy:
    """Read a policy; what it does not say is as in `base`."""
    if not isinstance(value, dict):
        reader.refuse(path, 'A retry is an object such as {"max_attempts": 3}.')
        return base
    reader.keys(value, path, tuple(_PARTS), "A retry")
    parts: dict[str, Any] = {}
    for key, part in value.items():
        if part is not None and key in _PARTS:
            parts[key] = _PARTS[key](reader, part, f"{path}.{key}")
    parts = {key: part for key, part in parts.items() if part is not None}
    if "max_attempts" in value and value["max_attempts"] is None:
        parts["max_attempts"] = None
    if "except" in parts:
        parts["never"] = parts.pop("except")
    policy = replace(base, **parts)
    if policy.base_delay > policy.max_delay:
        if "max_delay" in parts:
            reader.refuse(f"{path}.max_delay", "'max_delay' must not be below 'base_delay'.")
        policy = replace(policy, max_delay=policy.base_delay)
    return policy


def _max_attempts(reader: FieldReader, value: Any, path: str) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_ATTEMPTS:
        return value
    reader.refuse(
        path, f"This must be a whole number from 1 to {MAX_ATTEMPTS}, or null for no limit."
    )
    return None


def _delay(reader: FieldReader, value: Any, path: str) -> float | None:
    return reader.seconds(value, path, least=0, most=MAX_RETRY_AFTER_SECONDS)


def _max_elapsed(reader: FieldReader, value: Any, path: str) -> float | None:
    return reader.seconds(value, path, least=0, most=MAX_ELAPSED_SECONDS)


def _backoff(reader: FieldReader, value: Any, path: str) -> str | None:
    return reader.word(value, path, BACKOFFS)


def _reasons(reader: FieldReader, value: Any, path: str) -> tuple[str, ...] | None:
    """Read what errors are told by: kinds, statuses, classes of statuses and codes."""
    if not isinstance(value, list) or len(value) > 50:
        reader.refuse(path, f"'{path.rpartition('.')[2]}' must be a list of at most 50 entries.")
        return None
    names = []
    for index, entry in enumerate(value):
        name = str(entry).strip().upper() if _is_short(entry) else ""
        if _RETRY_ENTRY.match(name):
            names.append(name)
        else:
            reader.refuse(
                f"{path}[{index}]",
                f"{show(entry)} is not a reason to retry; use {', '.join(RETRY_KINDS)}, a "
                "status such as 429, a class such as 5XX, or an error code.",
            )
    return tuple(dict.fromkeys(names))


def _is_short(entry: Any) -> bool:
    # Writing out an integer of thousands of digits is an error.
    return type(entry) is str or (type(entry) is int and entry.bit_length() < 64)


_PARTS: Mapping[str, Callable[[FieldReader, Any, str], Any]] = {
    "max_attempts": _max_attempts,
    "base_delay": _delay,
    "max_delay": _delay,
    "backoff": _backoff,
    "jitter": FieldReader.boolean,
    "on": _reasons,
    "except": _reasons,
    "max_elapsed": _max_elapsed,
}
