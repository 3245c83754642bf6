"""Services that are read one by one, answered together as the view answers each of them."""

from __future__ import annotations

from collections.abc import Sequence

from core.api.exchange import WebAnswer, WebRequest, note_concern
from core.api.known_keys import known_keys
from core.api.preconditions import etag_of, whole_tag
from registry.api.service_rendering import render_service
from registry.services.readings import read_services

PATH = "/services/{id}"
_JSON = ("Content-Type", "application/json")
# The methods of the route, as its answers tell them.
_ALLOWED = ("Allow", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS")


def answer_service_reads(requests: Sequence[WebRequest]) -> list[WebAnswer | None]:
    """Read services in one query; None for each request that the view is to answer."""
    references = [_reference_of(request) for request in requests]
    readings = read_services({text for text in references if text is not None})
    answers: list[WebAnswer | None] = []
    for request, text in zip(requests, references, strict=True):
        reading = readings.get(text) if text is not None else None
        if reading is None:
            answers.append(None)
            continue
        service = reading.state.service
        note_concern(request.environ, [str(service.pk)])
        body = render_service(reading)
        headers = (_JSON, ("ETag", whole_tag(etag_of(service), body)), _ALLOWED)
        answers.append(WebAnswer(200, headers, body))
    return answers


def _reference_of(request: WebRequest) -> str | None:
    """Return which service a usual read is of, if its caller may see it."""
    if request.method != "GET" or request.query or "if-none-match" in request.headers:
        return None
    path = request.scope["path"].rstrip("/").removeprefix("/api").removeprefix("/registry")
    known = known_keys().recall(request.headers, request.address)
    if path != request.path or known is None or not known.caller.may("registry:read"):
        return None
    return request.path.split("/")[2]
