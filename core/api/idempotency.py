"""Writes are done once per `Idempotency-Key`: a repeated one is answered as the first was.

A write to the database is recorded in its own transaction, so that both are there or neither; a
second one with the same key waits for the first at the unique constraint. A write that calls a
service cannot keep a transaction open meanwhile: it is announced before, and its answer is kept
after. The header is that of draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from core.api.suspension import Suspended, once
from core.exceptions import Conflict, IntegrationError, ValidationFailed
from core.json.equality import canonical_json
from core.models import IdempotencyRecord

HEADER = "Idempotency-Key"
LONGEST_KEY = 255
# A call that has not been heard of for so long is taken for lost with its process.
LONGEST_CALL = timedelta(minutes=10)
# In this order: `/api/registry/services` is `/services`.
_OTHER_PREFIXES = ("/api/", "/registry/")
_KEPT_HEADERS = ("Location", "ETag", "X-Service-Instance", "X-Dropped-Fields")


class StillUnderWay(IntegrationError):
    """The first request with this key has not been answered yet."""

    code = "service_unavailable"
    status_code = 503
    retry_after = 1.0

    def __init__(self) -> None:
        super().__init__("A request with this Idempotency-Key is still under way. Ask again soon.")


def read_key(request: Any) -> str:
    """Return the key of a request, or nothing. Raises as `check_key`."""
    return check_key(request.headers.get(HEADER, ""))


def check_key(header: str) -> str:
    """Return the key that a header says, or nothing.

    Raises:
        ValidationFailed: it is too long, or not printable.
    """
    key = header.strip()
    sentence = ""
    if len(key) > LONGEST_KEY:
        sentence = f"The Idempotency-Key may have at most {LONGEST_KEY} characters."
    elif not key.isprintable():
        sentence = "The Idempotency-Key may have printable characters only."
    if sentence:
        raise ValidationFailed(sentence, errors={HEADER: [sentence]})
    return key


def do_once(
    request: Any, handler: Callable[[], Response], *, caller: str, calls_out: bool
) -> Response:
    """Do a write, or answer as it was answered before.

    Raises:
        Conflict: the key was used for another request.
        StillUnderWay: the same request is being worked on, and cannot be waited for.
    """
    wanted = IdempotencyRecord(
        caller=caller,
        key_digest=_digest(read_key(request)),
        request_digest=digest_of(request),
    )
    replayed = _replay(wanted)
    if replayed is not None:
        return replayed
    if not calls_out:
        return _do_writing(wanted, handler)
    try:
        claimed = once(request, "idempotency_claim", partial(_claim, wanted))
    except _Taken:
        replayed = _replay(wanted)
        if replayed is None:
            raise StillUnderWay() from None
        return replayed
    return _do_calling(claimed, handler)


def _do_writing(wanted: IdempotencyRecord, handler: Callable[[], Response]) -> Response:
    try:
        with transaction.atomic():
            _insert(wanted)
            response = handler()
            _keep(wanted, response)
            return response
    except _Taken:
        # The first one has committed by now, or was rolled back, and then so was its record.
        replayed = _replay(wanted)
        if replayed is None:
            raise StillUnderWay() from None
        return replayed


def _claim(wanted: IdempotencyRecord) -> IdempotencyRecord:
    """Announce a call under its key, in place of one that was lost. Raises: _Taken."""
    lost = timezone.now() - LONGEST_CALL
    _rows_of(wanted).filter(status_code=0, created_at__lt=lost).delete()
    with transaction.atomic():
        _insert(wanted)
    return wanted


def _do_calling(claimed: IdempotencyRecord, handler: Callable[[], Response]) -> Response:
    try:
        response = handler()
    except Suspended:
        raise  # it is still under way, and comes by again
    except BaseException:
        # It did not happen, or the service knows the key: the next request may try again.
        claimed.delete()
        raise
    _keep(claimed, response)
    return response


class _Taken(Exception):
    """Somebody else's record has this key."""


def _insert(wanted: IdempotencyRecord) -> None:
    try:
        wanted.save(force_insert=True)
    except IntegrityError:
        raise _Taken from None


def _rows_of(wanted: IdempotencyRecord) -> Any:
    return IdempotencyRecord.objects.filter(caller=wanted.caller, key_digest=wanted.key_digest)


def _replay(wanted: IdempotencyRecord) -> Response | None:
    """Return the answer that is kept, if there is one."""
    record = _rows_of(wanted).first()
    if record is None:
        return None
    if record.request_digest != wanted.request_digest:
        raise Conflict("The Idempotency-Key was used for another request. Take a new one for this.")
    if not record.status_code:
        return None
    headers = {**record.headers, "Idempotency-Replayed": "true"}
    return Response(record.body, status=record.status_code, headers=headers)


def _keep(record: IdempotencyRecord, response: Response) -> None:
    """Keep an answer. What the handler answered itself is an outcome, also when it refuses."""
    record.status_code = response.status_code
    record.body = json.loads(JSONRenderer().render(response.data) or b"null")
    record.headers = {
        name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers
    }
    record.save(update_fields=("status_code", "body", "headers", "updated_at"))


def digest_of(request: Any) -> str:
    """Return the digest of the request that a key stands for, as Django reads it."""
    query = sorted(request.query_params.lists())
    return digest_request(request.method, request.path_info, request.data, query=query)


def digest_request(method: str, path: str, body: Any, *, query: Sequence[Any] = ()) -> str:
    """Return the digest of what makes two requests the same, each part in one form.

    `query` is its names with their values, in order.
    """
    parts = (method, canonical_path(path), canonical_json(list(query)), canonical_json(body))
    return _digest(*parts)


def canonical_path(path: str) -> str:
    """Return the one form of the path of a resource, which answers under several."""
    canonical = path.rstrip("/")
    for prefix in _OTHER_PREFIXES:
        if canonical.startswith(prefix):
            canonical = canonical.removeprefix(prefix.rstrip("/"))
    return canonical or "/"


def _digest(*parts: str) -> str:
    key = settings.SECRET_KEY.encode()
    return hmac.new(key, "\0".join(parts).encode(), hashlib.sha256).hexdigest()
