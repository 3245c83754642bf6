"""Heartbeats that arrive together, answered as the view answers each of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from core.api.exchange import WebAnswer, WebRequest
from core.api.plain_reading import NotPlain, read_plainly
from core.api.plain_requests import PlainRequest, read_request
from core.api.preconditions import etag_of
from core.exceptions import IntegrationError
from registry.api.registrants import registrant_of
from registry.api.service_rendering import render_service
from registry.api.service_serializers import HeartbeatInput
from registry.services import check_owner
from registry.services.heartbeats import Beat, renew_many

PATH = "/services/{id}/heartbeat"
BELOW = ("", "/registry")
_SCOPE = "registry:register|registry:write"
# The methods of the route, as its answers tell them.
_ALLOWED = ("Allow", "POST, OPTIONS")


def answer_heartbeats(requests: Sequence[WebRequest]) -> list[WebAnswer | None]:
    """Take heartbeats without news; None for each request that the view is to answer."""
    reads = [read_request(request, _SCOPE, below=BELOW) for request in requests]
    beats = {place: beat for place, read in enumerate(reads) if read and (beat := _beat_of(read))}
    answers: list[WebAnswer | None] = [None] * len(requests)
    bodies: dict[int, bytes] = {}
    for place, reading in zip(beats, renew_many(list(beats.values())), strict=True):
        read = reads[place]
        if read is None or reading is None:
            continue
        if id(reading) not in bodies:  # all that beat together see the same service
            bodies[id(reading)] = render_service(reading)
        headers = (("ETag", etag_of(reading.state.service)), _ALLOWED)
        answers[place] = read.answer(200, bodies[id(reading)], headers)
    return answers


def _beat_of(request: PlainRequest) -> Beat | None:
    caller = request.caller
    try:
        heartbeat = HeartbeatInput.heartbeat(read_plainly(HeartbeatInput, request.body))
    except (NotPlain, IntegrationError):
        return None
    allow = partial(check_owner, registrant=registrant_of(caller))
    return Beat(request.web.path.split("/")[2], heartbeat, allow)
