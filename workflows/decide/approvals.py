"""APPROVAL: a step that waits for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workflows.decide.outcomes import complete, fail
from workflows.decide.turn import Next, Turn
from workflows.decide.waits import read_limit, read_time, seconds_from, time_limit
from workflows.exceptions import WorkflowError


def begin_approval(turn: Turn) -> Next:
    """Wait for people; the services write their decisions into the row."""
    row, step = turn.row, turn.step
    if row.input is None:
        row.input = {
            "document": turn.input_document(),
            "until": time_limit(turn),
            "due": _due(turn),
            "decisions": [],
        }
    decisions = row.input["decisions"]
    rejection = next((d for d in decisions if d["decision"] == "REJECTED"), None)
    until = read_limit(turn)
    is_late = until is not None and until <= turn.now
    has_enough = len(decisions) >= step.minimum
    if rejection is None and not has_enough and not is_late:
        return turn.park(until=until)
    if rejection is None and (has_enough or step.on_timeout == "APPROVE"):
        return complete(
            turn, {"decision": "APPROVED", "decisions": decisions, "form": _form_of(decisions)}
        )
    return fail(turn, _refusal(turn, rejection))


def _due(turn: Turn) -> str | None:
    """Return from when on those of `escalate_to` may decide too: seconds from now, or a time."""
    step = turn.step
    if step.due is None:
        return None
    value = step.due.render(turn.execution.visible(), turn.recorded())
    due = read_time(value, step) if isinstance(value, str) else seconds_from(value, step, turn.now)
    return due.isoformat()


def _form_of(decisions: Sequence[Mapping[str, Any]]) -> Any:
    return decisions[-1].get("form") if decisions else None


def _refusal(turn: Turn, rejection: Mapping[str, Any] | None) -> WorkflowError:
    step = turn.step
    if rejection is not None:
        reason = f": {rejection['comment']}" if rejection.get("comment") else "."
        return WorkflowError(f"{rejection['by']} rejected '{step.id}'{reason}", code="rejected")
    if step.on_timeout == "REJECT":
        return WorkflowError(f"Nobody decided '{step.id}' in time: rejected.", code="rejected")
    return WorkflowError(f"Nobody decided '{step.id}' in time.", code="approval_timeout")
