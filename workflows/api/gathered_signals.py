"""Signals that arrive together, answered as the view answers each of them.

What is unusual or fails is left to the view: nothing was done for it so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from core.api.exchange import WebAnswer, WebRequest
from core.api.idempotency import HEADER
from core.api.plain_reading import NotPlain, read_plainly
from core.api.plain_requests import PlainRequest, read_request
from core.identifiers import read_id
from workflows import services
from workflows.api.execution_responses import OWN_OR_ANY, may_control, show
from workflows.api.serializers import SignalInput
from workflows.models import WorkflowExecution
from workflows.services import SentSignal

_HEADERS = (("Allow", "POST, OPTIONS"),)


@dataclass(frozen=True, slots=True)
class _AskedSignal:
    """A signal that is asked for."""

    request: PlainRequest
    execution_id: UUID
    signal: SentSignal


def answer_signals(requests: Sequence[WebRequest]) -> list[WebAnswer | None]:
    """Send the signals that these ask for, together, and answer; None for what the view is to."""
    asked = {place: one for place, r in enumerate(requests) if (one := _read(r)) is not None}
    allowed = _may_be_sent(asked)
    signalled = services.signal_many([one.signal for one in allowed.values()])
    answers: list[WebAnswer | None] = [None] * len(requests)
    for (place, one), answer in zip(allowed.items(), signalled, strict=True):
        answers[place] = _answer(one, answer)
    return answers


def _may_be_sent(asked: Mapping[int, _AskedSignal]) -> dict[int, _AskedSignal]:
    """Return those to executions that are there and that their callers may control."""
    rows = WorkflowExecution.objects.filter(pk__in={one.execution_id for one in asked.values()})
    starters = dict(rows.values_list("pk", "started_by"))
    return {
        place: one
        for place, one in asked.items()
        if one.execution_id in starters
        and may_control(one.request.caller, starters[one.execution_id])
    }


def _answer(asked: _AskedSignal, answer: WorkflowExecution | Exception) -> WebAnswer | None:
    request = asked.request

    def show_now(_: WorkflowExecution) -> WebAnswer:
        execution = services.get_execution(str(asked.execution_id))
        return request.render(200, show(execution), _HEADERS)

    return request.render_outcome(answer, show_now, _HEADERS)


def _read(request: WebRequest) -> _AskedSignal | None:
    # An Idempotency-Key has the answer kept, for which there is the view.
    read = read_request(request, OWN_OR_ANY) if HEADER.lower() not in request.headers else None
    execution_id = read_id(request.path.split("/")[2]) if read is not None else None
    if read is None or execution_id is None:
        return None
    try:
        data = read_plainly(SignalInput, read.body)
    except NotPlain:
        return None
    actor = read.caller.name
    return _AskedSignal(
        read, execution_id, SentSignal(execution_id=execution_id, actor=actor, **data)
    )
