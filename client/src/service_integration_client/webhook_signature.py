"""Signs messages to webhooks, as in the Standard Webhooks specification."""

from __future__ import annotations

import base64
import binascii
import time
import uuid
from collections.abc import Sequence

SECRET_PREFIX = "whsec_"  # noqa: S105 - how a secret begins is none


def sign_webhook(
    secret: str | Sequence[str],
    body: bytes | str,
    *,
    message_id: str | None = None,
    timestamp: int | None = None,
) -> dict[str, str]:
    """Return the three headers that a message needs; send `body` exactly as it is signed.

    The same `message_id` is taken once: give it again when a message is sent again, without it
    there is a new one. `timestamp` is in seconds since 1970, now unless given. Several secrets make
    several signatures, for the time in which a secret is rotated.

    Raises:
        ValueError: a secret stands for no key.
    """
    identifier = message_id or f"msg_{uuid.uuid4().hex}"
    at = int(time.time()) if timestamp is None else timestamp
    content = body.encode() if isinstance(body, str) else body
    secrets = [secret] if isinstance(secret, str) else secret
    signed = f"{identifier}.{at}.".encode() + content
    return {
        "Webhook-Id": identifier,
        "Webhook-Timestamp": str(at),
        "Webhook-Signature": " ".join(f"v1,{_signature(text, signed)}" for text in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    import hmac  # slow to import, and most programs sign nothing

    digest = hmac.new(_key_of(secret), signed, "sha256").digest()
    return base64.b64encode(digest).decode()


def _key_of(secret: str) -> bytes:
    """Return the key: base64 behind `whsec_`, padded or not; any other text as it is."""
    if not secret.startswith(SECRET_PREFIX):
        key = secret.encode()
    else:
        encoded = secret[len(SECRET_PREFIX) :]
        padding = "" if encoded.endswith("=") else "=" * (-len(encoded) % 4)
        try:
            key = base64.b64decode(encoded + padding, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("Behind whsec_ there must be the key in base64.") from None
    if not key:
        raise ValueError("The secret stands for an empty key.")
    return key
