"""When something of an execution was under way, and when nothing was (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from workflows.definition import PAUSING_KINDS, Definition

# A branch or an element counts by its own steps.
CONTAINER_KINDS = frozenset({"PARALLEL", "MAP"})
Span = tuple[datetime, datetime]


def idle_kinds(definition: Definition | None) -> dict[str, str]:
    """Return the kind of each step that is not active while it is open, by its id.

    It waits for a person, an event or a time, or holds branches that count by their own steps.
    """
    kinds = PAUSING_KINDS | CONTAINER_KINDS
    known = definition.steps.values() if definition else ()
    return {step.id: step.kind for step in known if step.kind in kinds}


def spans_of(
    attempts: Iterable[tuple[datetime | None, datetime | None]], *, until: datetime | None
) -> list[Span]:
    """Return when each attempt that began was under way.

    One without an end goes on `until` then; without that it counts for nothing.
    """
    begun = ((began, ended or until or began) for began, ended in attempts if began is not None)
    return [(began, max(began, ended)) for began, ended in begun]


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return the spans in order, with those that overlap or touch made one."""
    joined: list[Span] = []
    for began, ended in sorted(spans):
        if joined and began <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], ended))
        else:
            joined.append((began, ended))
    return joined


def active_seconds(spans: Iterable[Span]) -> float:
    """Return for how long at least one of them was under way."""
    lengths = (ended - began for began, ended in merged(spans))
    return sum(lengths, timedelta()).total_seconds()


def idle_gaps(spans: Iterable[Span], *, start: datetime, end: datetime) -> list[Span]:
    """Return the gaps between `start` and `end` in which none was under way."""
    gaps, reached = [], start
    for began, ended in merged(spans):
        if began > reached:
            gaps.append((reached, began))
        reached = max(reached, ended)
    return [*gaps, (reached, end)] if end > reached else gaps
