"""What one example is made of: a definition, an input, and what the world does during it.

`REPLIES` names the ways in which a call can fail, as docs/workflows.md tells them apart. A script
says for a place and an attempt what a call there answers, so that nothing depends on the order in
which branches happen to run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.exceptions import IntegrationError, SchemaViolation
from registry.exceptions import (
    CircuitOpenError,
    ServiceConnectionError,
    ServiceNotFoundError,
    ServiceResponseError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)

Document = dict[str, Any]
# An object is an answer, a text names an entry of FAILURES.
Reply = Document | str


@dataclass(frozen=True)
class FailedCall:
    """How a call can fail: the code that is recorded, and the words that a `retry` knows it by."""

    code: str
    reasons: frozenset[str]
    make: Callable[[], IntegrationError]


def _failed(code: str, *reasons: str, make: Callable[[], IntegrationError]) -> FailedCall:
    return FailedCall(code, frozenset({code.upper(), *reasons}), make)


def _answered(status: int) -> FailedCall:
    return _failed(
        "service_error",
        "RESPONSE",
        str(status),
        f"{status // 100}XX",
        make=lambda: ServiceResponseError(f"It answered {status}.", upstream_status=status),
    )


FAILURES: Mapping[str, FailedCall] = {
    "timeout": _failed(
        "service_timeout", "TIMEOUT", make=lambda: ServiceTimeoutError("No answer in time.")
    ),
    "unavailable": _failed(
        "service_unavailable", "UNAVAILABLE", make=lambda: ServiceUnavailableError("Down.")
    ),
    "connection": _failed(
        "service_unavailable", "CONNECTION", make=lambda: ServiceConnectionError("Refused.")
    ),
    "circuit": _failed(
        "circuit_open", "UNAVAILABLE", make=lambda: CircuitOpenError("Open.", retry_after=0)
    ),
    "missing": _failed(
        "service_not_found", "OTHER", make=lambda: ServiceNotFoundError("No such service.")
    ),
    "malformed": _failed(
        "service_error", "RESPONSE", make=lambda: ServiceResponseError("Against the schema.")
    ),
    # Nothing was sent, and nothing would be different: no policy retries it.
    "refused": FailedCall("schema_violation", frozenset(), lambda: SchemaViolation("No text.")),
    **{f"status_{status}": _answered(status) for status in (400, 404, 429, 500, 501)},
}


@dataclass(frozen=True)
class Script:
    """What calls answer: for each step variants, each a list with a reply per attempt.

    The place chooses the variant, so that elements and visits of one step differ; the last reply of
    a variant holds for the attempts after it.
    """

    replies: Mapping[str, list[list[Reply]]] = field(default_factory=dict)

    def reply(self, step_id: str, path: str, attempt: int) -> Reply:
        """What the call at this place answers at this attempt."""
        variants = self.replies.get(step_id) or [[{}]]
        variant = variants[number_of(path) % len(variants)]
        return variant[min(attempt, len(variant)) - 1]


def number_of(path: str) -> int:
    """A number that tells apart the elements and visits of one step; 0 for the first of them."""
    places = [part for part in path.replace("#", "/").split("/") if part.isdigit()]
    return sum(int(part) for part in places) + path.count("#")


@dataclass(frozen=True)
class Decision:
    """What a person says to an APPROVAL."""

    approve: bool
    by: str


@dataclass(frozen=True)
class Case:
    """One execution, and everything that happens to it from outside.

    `early` signals are there before anything runs, `late` ones come one at a time when nothing else
    can go on. `decisions` are made in their order wherever the step waits. `children` are the
    workflows that WORKFLOW steps name.
    """

    document: Document
    input: Document = field(default_factory=dict)
    script: Script = field(default_factory=Script)
    early: tuple[tuple[str, Any], ...] = ()
    late: tuple[tuple[str, Any], ...] = ()
    decisions: Mapping[str, tuple[Decision, ...]] = field(default_factory=dict)
    children: Mapping[str, Document] = field(default_factory=dict)
