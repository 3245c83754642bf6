"""Starts that arrive together, answered as the views answer each of them.

What is unusual or fails is left to the view: nothing was done for it so far. So is what is to be
waited for: the view finds the execution that was started.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from django.db import DatabaseError

from core.api.exchange import WebAnswer, WebRequest
from core.api.idempotency import HEADER, check_key, digest_request
from core.api.plain_reading import NotPlain, read_plainly
from core.api.plain_requests import PlainRequest, read_request
from core.exceptions import IntegrationError
from core.mediator import mediator
from workflows import services
from workflows.api.execution_responses import (
    REQUEST_TYPES,
    REQUEST_WAIT_SECONDS,
    RequestKey,
    show_started,
    start_by,
    started_before,
    status_of,
)
from workflows.api.serializers import ExecuteInput, ExecuteRequestInput
from workflows.services import Start, Started

_SCOPE = "workflows:execute"
# The methods of the routes that answer without waiting, as they tell them.
_HEADERS = (("Allow", "POST, OPTIONS"),)


@dataclass(frozen=True, slots=True)
class _AskedStart:
    """A start that is asked for, and the workflow or the type of workflow that it names."""

    request: PlainRequest
    start: Start
    workflow: str = ""
    workflow_type: str = ""
    wait: float = 0.0


def answer_starts(requests: Sequence[WebRequest]) -> list[WebAnswer | None]:
    """Start what these ask for, together, and answer; None for what the view is to answer."""
    orders = {place: order for place, r in enumerate(requests) if (order := _read(r)) is not None}
    answers: list[WebAnswer | None] = [None] * len(requests)
    for place, started in _start(orders).items():
        show = partial(_show, orders[place])
        answers[place] = orders[place].request.render_outcome(started, show, _HEADERS)
    return answers


def _read(request: WebRequest) -> _AskedStart | None:
    read = read_request(request, _SCOPE)
    if read is None:
        return None
    try:
        key = check_key(request.headers.get(HEADER.lower(), ""))
        digest = digest_request(request.method, request.path, read.body) if key else ""
        return _order_of(read, RequestKey(key, digest) if key else None)
    except (NotPlain, IntegrationError):
        return None


def _order_of(request: PlainRequest, key: RequestKey | None) -> _AskedStart:
    """Return what is asked for. Raises: NotPlain, ValidationFailed."""
    _, _, name, *rest = request.web.path.split("/")
    start = partial(start_by, caller=request.caller, key=key, request_id=request.web.request_id)
    if rest:
        data = read_plainly(ExecuteInput, request.body)
        return _AskedStart(request, start(data), workflow=name, wait=data["wait"])
    if name == "execute":
        data = read_plainly(ExecuteRequestInput, request.body)
        wait = data["options"].get("wait", REQUEST_WAIT_SECONDS)
        named = data.get("workflow", ""), data.get("workflow_type", "")
        return _AskedStart(request, start(data), *named, wait=wait)
    data = {"input_data": request.body, "context": {}}
    return _AskedStart(
        request, start(data), workflow_type=REQUEST_TYPES[name], wait=REQUEST_WAIT_SECONDS
    )


def _start(orders: dict[int, _AskedStart]) -> dict[int, Started | Exception]:
    """Start them, by their places; those are left out whose workflow is not there."""
    workflows = services.workflows_to_start({order.workflow for order in orders.values()} - {""})
    named = [place for place, order in orders.items() if order.workflow in workflows]
    typed: defaultdict[str, list[int]] = defaultdict(list)
    for place, order in orders.items():
        if order.workflow_type:
            typed[order.workflow_type].append(place)
    started = services.start_many([(workflows[orders[p].workflow], orders[p].start) for p in named])
    answers = dict(zip(named, started, strict=True))
    for workflow_type, places in typed.items():
        starts = [orders[place].start for place in places]
        try:
            found = mediator.send(workflow_type, starts=starts)
        except (IntegrationError, DatabaseError):  # those of before are stored already
            continue
        answers |= zip(places, found, strict=True)
    return answers


def _show(order: _AskedStart, started: Started) -> WebAnswer | None:
    request = order.request
    if order.wait > 0:
        # The view goes on from here, once it has ended.
        request.web.suspension = started_before(started, wait=order.wait)
        return None
    location = f"{request.prefix}/executions/{started.execution.pk}"
    headers = (("Location", location), *_HEADERS)
    return request.render(status_of(started.execution), show_started(started), headers)
