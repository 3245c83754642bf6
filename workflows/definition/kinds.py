"""The kinds of steps: a table of what each may say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TARGET_KINDS = ("service", "service_type", "connection", "integration")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a step of this kind says besides the keys of every step."""

    keys: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


COMMON_KEYS = ("id", "name", "type", "when", "next", "max_visits")

KINDS: Mapping[str, Kind] = {
    "ACTION": Kind(
        keys=(*TARGET_KINDS, "action", "input", "retry", "timeout", "optional", "fallback")
    ),
    "TRANSFORM": Kind(keys=("output",), required=("output",)),
    "CHOICE": Kind(required=("next",)),
    "FAIL": Kind(keys=("error",), required=("error",)),
    "SUCCEED": Kind(keys=("output",)),
}
ENDING_KINDS = frozenset({"FAIL", "SUCCEED"})

# Of the language, and refused until the engine runs them.
LATER_KINDS = frozenset({"PARALLEL", "MAP", "WAIT", "EVENT", "APPROVAL", "WORKFLOW"})
LATER_KEYS = frozenset({"on_error", "compensate", "concurrency"})
