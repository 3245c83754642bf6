"""ACTION: a step that calls."""

from __future__ import annotations

from workflows.decide.turn import Halt, Next, Turn


def begin_action(turn: Turn) -> Next:
    """Give the call its input; a template that is no object fails the step."""
    turn.row.input = turn.input_document()
    return Halt.CALL
