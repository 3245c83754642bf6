"""The calls that a definition makes, and what decides of each what is sent (pure).

A call is the same in two versions where everything is that can lead to it, or that it can read: the
call itself and the steps before it, wherever they are. Names, retries and what follows are not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.json.equality import canonical_json
from workflows.definition import Compensation, Definition, Step, StepTarget
from workflows.definition.diff import documents_of_steps
from workflows.validation.graph import StepGraph

# What of a call says to whom what is sent, and of a step whether it is.
_SENT = ("service", "service_type", "connection", "integration", "action", "input",
         "unknown_fields")  # fmt: skip
_OWN = (*_SENT, "when")
# What of a step before it changes nothing of that.
_COSMETIC = frozenset({"name", "retry", "timeout", "compensate"})


@dataclass(frozen=True, slots=True)
class DefinedCall:
    """A call of a step, or of the compensation of one."""

    step: str
    compensates: bool
    target: StepTarget
    action: str

    @property
    def title(self) -> str:
        """The words for it in a list."""
        return f"{self.step} (compensation)" if self.compensates else self.step


def calls_of(definition: Definition) -> Iterator[DefinedCall]:
    """Yield every call that a definition can make itself; workflows that it runs make their own."""
    for step in definition.steps.values():
        yield from _call_of(step, step.id, compensates=False)
        if step.compensate is not None:
            yield from _call_of(step.compensate, step.id, compensates=True)


def _call_of(caller: Step | Compensation, step: str, *, compensates: bool) -> Iterator[DefinedCall]:
    if caller.target is not None:
        yield DefinedCall(step, compensates, caller.target, caller.action or "")


def fingerprints_of(definition: Definition) -> dict[tuple[str, bool], str]:
    """Return a digest of what decides of each call what is sent, by its step and kind."""
    graph, documents = StepGraph(definition), documents_of_steps(definition.document)
    return {
        (call.step, call.compensates): _fingerprint(call, graph, documents)
        for call in calls_of(definition)
    }


def _fingerprint(
    call: DefinedCall, graph: StepGraph, documents: Mapping[str, Mapping[str, Any]]
) -> str:
    before = _steps_before(call.step, graph)
    own = documents[call.step]
    if call.compensates:
        before.add(call.step)
        own = own["compensate"]
    said = {
        "own": {key: own[key] for key in _OWN if key in own},
        "before": {
            name: {k: v for k, v in documents[name].items() if k not in _COSMETIC}
            for name in sorted(before)
        },
    }
    return hashlib.sha256(canonical_json(said).encode()).hexdigest()


def _steps_before(name: str, graph: StepGraph) -> set[str]:
    """Return the steps that can run before one, with those inside of them and around it."""
    around = graph.around(name)
    before = {earlier for outer in around for earlier in graph.before(outer)}
    inside = {step for step in graph.definition.steps if before & set(graph.around(step)[1:])}
    # Those beside it in another branch run at the same time, and are not seen.
    return before | inside | set(around[1:])
