"""Makes the headers that every call carries (pure)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from core.json.equality import canonical_json
from core.request_ids import current_request_id

DROPPED_FIELDS = "X-Dropped-Fields"


def header_text(value: object) -> str:
    """Return a value as a header can carry it: printable ASCII, at most 200 characters."""
    text = str(value)
    if not (text.isascii() and text.isprintable()):
        text = "".join(c for c in text if " " <= c <= "~")
    return text.strip()[:200]


def key_to_send(key: str) -> str:
    """Return a key as a header can carry it; one that cannot be carried whole by its digest.

    Cut, or without what is no ASCII, two keys could become one, and the second call not be made.
    """
    text = header_text(key)
    return text if text == key else hashlib.sha256(key.encode()).hexdigest()


def key_of_caller(identity: str, key: str) -> str:
    """Return what is sent to a service for the key that a caller gave; nothing for none.

    The service sees one client, the hub: sent as it came, the key of one caller would be answered
    with what another was, and whoever works out the key of a workflow's step could use it up.
    """
    return hashlib.sha256(canonical_json([identity, key]).encode()).hexdigest() if key else ""


def call_headers(context: Mapping[str, Any], *, key: str = "") -> dict[str, str]:
    """Return the headers of a call: the request's id and correlation, a fresh idempotency key.

    `traceparent` is that of W3C Trace Context. A `key` is sent as it is: that of somebody who
    calls the hub is to come from `key_of_caller`.
    """
    request_id = header_text(context.get("request_id") or current_request_id()) or uuid.uuid4().hex
    return {
        "Idempotency-Key": key_to_send(key) or uuid.uuid4().hex,
        "X-Correlation-ID": header_text(context.get("correlation_id") or request_id),
        "X-Request-ID": request_id,
        "traceparent": f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01",
    }


def dropped_fields(warnings: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the header that names the fields which a call left out, if it left out any."""
    names = [str(name) for warning in warnings for name in warning.get("fields", ())]
    return {DROPPED_FIELDS: header_text(", ".join(names))} if names else {}
