"""Lists the kinds of steps, and the keys of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TARGET_KINDS = ("service", "service_type", "connection", "integration")


@dataclass(frozen=True, slots=True)
class StepKind:
    """What a step of this kind says besides the keys of every step."""

    keys: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


COMMON_KEYS = ("id", "name", "type", "when", "next", "max_visits")
CALL_KEYS = (*TARGET_KINDS, "action", "input", "unknown_fields", "retry", "timeout")
FAILURE_KEYS = ("optional", "fallback", "on_error")
APPROVAL_KEYS = (
    "input", "assignees", "form", "due", "escalate_to", "on_timeout", "minimum", "timeout",
)  # fmt: skip

KINDS: Mapping[str, StepKind] = {
    "ACTION": StepKind((*CALL_KEYS, *FAILURE_KEYS, "compensate")),
    "TRANSFORM": StepKind(("output",), required=("output",)),
    "CHOICE": StepKind(required=("next",)),
    "PARALLEL": StepKind(("branches", "join", *FAILURE_KEYS), required=("branches",)),
    "MAP": StepKind(
        ("over", "steps", "max_concurrency", "tolerate_failures", *FAILURE_KEYS),
        required=("over", "steps"),
    ),
    "WAIT": StepKind(("seconds", "until", *FAILURE_KEYS)),
    "EVENT": StepKind(("event", "match", "timeout", *FAILURE_KEYS), required=("event",)),
    "APPROVAL": StepKind((*APPROVAL_KEYS, *FAILURE_KEYS)),
    "WORKFLOW": StepKind(
        ("workflow", "version", "input", "timeout", *FAILURE_KEYS, "compensate"),
        required=("workflow",),
    ),
    "FAIL": StepKind(("error",), required=("error",)),
    "SUCCEED": StepKind(("output",)),
}
ENDING_KINDS = frozenset({"FAIL", "SUCCEED"})
# Time passes in these, or somebody has to act: a cycle through one does not spin.
PAUSING_KINDS = frozenset({"WAIT", "EVENT", "APPROVAL"})
