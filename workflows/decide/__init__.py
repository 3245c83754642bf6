"""Decides what runs next (pure): from an execution's state and one outcome to what to record.

The engine, the validator and the tests share these functions. They read no clock, draw no random
numbers and touch no database: `now` and `fraction` come in, a `Transition` comes out.
"""

from workflows.decide.branches import first_of_branch, has_ended, next_branches
from workflows.decide.compensation import (
    call_at,
    compensable_steps,
    compensation_error,
    first_attempt,
)
from workflows.decide.outcomes import deadline_exceeded, describe
from workflows.decide.routing import give_up, resume, settle
from workflows.decide.state import (
    SETTLED_STATUSES,
    BranchResult,
    CallFailure,
    CallSuccess,
    ChildExecution,
    ChildStart,
    ExecutionState,
    Facts,
    Finish,
    Row,
    Signal,
    Transition,
    new_row,
)
from workflows.decide.visibility import StepOutcome, recall

__all__ = [
    "SETTLED_STATUSES",
    "BranchResult",
    "CallFailure",
    "CallSuccess",
    "ChildExecution",
    "ChildStart",
    "ExecutionState",
    "Facts",
    "Finish",
    "Row",
    "Signal",
    "StepOutcome",
    "Transition",
    "call_at",
    "compensable_steps",
    "compensation_error",
    "deadline_exceeded",
    "describe",
    "first_attempt",
    "first_of_branch",
    "give_up",
    "has_ended",
    "new_row",
    "next_branches",
    "recall",
    "resume",
    "settle",
]
