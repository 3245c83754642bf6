"""Signatures of messages as in the Standard Webhooks specification (pure)."""

from __future__ import annotations

import base64
import hashlib
import hmac

from django.views.decorators.debug import sensitive_variables

from core.vault import Secret
from registry.credentials.signing_key import key_of

ID_HEADER = "Webhook-Id"
TIMESTAMP_HEADER = "Webhook-Timestamp"
SIGNATURE_HEADER = "Webhook-Signature"


@sensitive_variables()
def signature_of(message_id: str, sent_at: str, body: bytes, secret: Secret) -> str:
    """Return the signature of a message in base64, without its version: over what was sent.

    Raises:
        ValueError: the secret stands for no key.
    """
    signed = f"{message_id}.{sent_at}.".encode() + body
    digest = hmac.new(key_of(secret.reveal()), signed, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
