"""Registrations that arrive together, answered as the view answers each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rest_framework.exceptions import ValidationError

from core.api.exchange import WebAnswer, WebRequest
from core.api.plain_reading import NotPlain, read_plainly
from core.api.plain_requests import PlainRequest, read_request
from core.api.preconditions import etag_of, whole_tag
from registry.api.registrants import applicant_of
from registry.api.service_rendering import render_service
from registry.api.service_serializers import ServiceInput, registration_of
from registry.services.registrations import (
    Application,
    PlainlyRegistered,
    register_many,
)

PATH = "/services"
BELOW = ("", "/registry")
_SCOPE = "registry:register|registry:write"
# The methods of the route, as its answers tell them.
_ALLOWED = ("Allow", "GET, POST, HEAD, OPTIONS")
# What the view does with these is its own.
_FOR_THE_VIEW = frozenset(("idempotency-key", "x-request-reason"))


def answer_registrations(requests: Sequence[WebRequest]) -> list[WebAnswer | None]:
    """Take plain registrations; None for each request that the view is to answer."""
    reads = [_read(request) for request in requests]
    applications = {place: _application(*read) for place, read in enumerate(reads) if read}
    answers: list[WebAnswer | None] = [None] * len(requests)
    registered = register_many(list(applications.values()))
    for place, each in zip(applications, registered, strict=True):
        read = reads[place]
        if read is not None and each is not None:
            answers[place] = _answer(read[0], each)
    return answers


def _read(request: WebRequest) -> tuple[PlainRequest, dict[str, Any]] | None:
    if not _FOR_THE_VIEW.isdisjoint(request.headers):
        return None
    read = read_request(request, _SCOPE, below=BELOW)
    if read is None:
        return None
    try:
        return read, read_plainly(ServiceInput, read.body)
    except NotPlain:
        reader = ServiceInput(data=read.body)
    try:
        reader.is_valid(raise_exception=True)
    except ValidationError:
        return None
    return read, reader.validated_data


def _application(request: PlainRequest, data: dict[str, Any]) -> Application:
    return registration_of(data), applicant_of(request)


def _answer(request: PlainRequest, registered: PlainlyRegistered) -> WebAnswer:
    reading = registered.reading
    body = render_service(reading)
    tag = whole_tag(etag_of(reading.state.service), body)
    return request.answer(201 if registered.created else 200, body, (("ETag", tag), _ALLOWED))
