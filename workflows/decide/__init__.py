"""What runs next (pure): from what is known of an execution and one outcome to what to record.

The engine, the validator and the tests share these functions. They read no clock, draw no random
numbers and touch no database: `now` and `fraction` come in, a `Transition` comes out.
"""

from workflows.decide.compensation import (
    call_at,
    error_of_undoing,
    first_attempt,
    undoable_steps,
)
from workflows.decide.kinds import DEFAULT_CONCURRENCY, first_of_branch, has_ended
from workflows.decide.outcomes import deadline_exceeded, describe
from workflows.decide.routing import give_up, resume, settle
from workflows.decide.state import (
    SETTLED_STATUSES,
    BranchResult,
    Child,
    ChildStart,
    Facts,
    Failure,
    Finish,
    Row,
    Run,
    Signal,
    Success,
    Transition,
)
from workflows.decide.visibility import Outcome, recall

__all__ = [
    "DEFAULT_CONCURRENCY",
    "SETTLED_STATUSES",
    "BranchResult",
    "Child",
    "ChildStart",
    "Facts",
    "Failure",
    "Finish",
    "Outcome",
    "Row",
    "Run",
    "Signal",
    "Success",
    "Transition",
    "call_at",
    "deadline_exceeded",
    "describe",
    "error_of_undoing",
    "first_attempt",
    "first_of_branch",
    "give_up",
    "has_ended",
    "recall",
    "resume",
    "settle",
    "undoable_steps",
]
