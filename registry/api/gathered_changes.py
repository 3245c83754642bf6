"""Changes of services that arrive together, answered as the view answers each of them."""

from __future__ import annotations

from collections.abc import Sequence

from core.api.exchange import WebAnswer, WebRequest
from core.api.plain_reading import NotPlain, read_plainly
from core.api.plain_requests import PlainRequest, read_request
from core.api.preconditions import etag_of, whole_tag
from registry.api.registrants import applicant_of
from registry.api.service_rendering import render_service
from registry.api.service_serializers import ServicePatch, registration_of
from registry.services.plain_changes import PlainChange, change_many

PATH = "/services/{id}"
BELOW = ("", "/registry")
_SCOPE = "registry:register|registry:write"
# The methods of the route, as its answers tell them.
_ALLOWED = ("Allow", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS")
# What the view does with these is its own.
_FOR_THE_VIEW = frozenset(("idempotency-key", "x-request-reason", "if-match", "if-none-match"))


def answer_changes(requests: Sequence[WebRequest]) -> list[WebAnswer | None]:
    """Make plain changes; None for each request that the view is to answer."""
    reads = [_read(request) for request in requests]
    changes = {
        place: change for place, read in enumerate(reads) if read and (change := _change(read))
    }
    answers: list[WebAnswer | None] = [None] * len(requests)
    for place, reading in zip(changes, change_many(list(changes.values())), strict=True):
        read = reads[place]
        if read is not None and reading is not None:
            body = render_service(reading)
            tag = whole_tag(etag_of(reading.state.service), body)
            answers[place] = read.answer(200, body, (("ETag", tag), _ALLOWED))
    return answers


def _read(request: WebRequest) -> PlainRequest | None:
    if not _FOR_THE_VIEW.isdisjoint(request.headers):
        return None
    return read_request(request, _SCOPE, below=BELOW, method="PATCH")


def _change(request: PlainRequest) -> PlainChange | None:
    try:
        fields = read_plainly(ServicePatch, request.body)
    except NotPlain:
        return None
    reference = request.web.path.split("/")[2]
    return PlainChange(reference, registration_of(fields), applicant_of(request))
