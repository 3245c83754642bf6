"""Signed messages as in the Standard Webhooks specification (pure).

The signature is HMAC-SHA256 over `id.timestamp.body`, in base64 behind `v1,`. A header may hold
several, separated by blanks: while a secret is rotated, a sender signs with the old and the new.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

from django.views.decorators.debug import sensitive_variables

from core.exceptions import IntegrationError
from core.vault import Secret
from registry.credentials.webhook_signature import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    signature_of,
)

TOLERANCE_SECONDS = 300
MOST_SIGNATURES = 10
LONGEST_HEADER = 2000
# Without the dot that separates the parts of what is signed: it could be read in two ways.
_ID = re.compile(r"[!-\-/-~]{1,200}\Z")
_TIMESTAMP = re.compile(r"[0-9]{1,12}\Z")


class MessageRefused(IntegrationError):
    """A message that is not shown to be the sender's, or is not of now; `reason` says which."""

    code = "unauthenticated"
    status_code = 401
    permanent = True


@dataclass(frozen=True, slots=True)
class Message:
    """What came: the id, the time and the signatures as its headers say them."""

    id: str
    sent_at: str  # the digits that were signed, with zeros before them if there were any
    signatures: tuple[str, ...]
    body: bytes

    @property
    def timestamp(self) -> int:
        """The seconds since 1970."""
        return int(self.sent_at)


def read_message(headers: Mapping[str, str], body: bytes) -> Message:
    """Read the headers of a message.

    Raises:
        MessageRefused: one is missing, or is not what it should be.
    """
    values = {name: _header(headers, name) for name in (ID_HEADER, TIMESTAMP_HEADER)}
    signatures = _header(headers, SIGNATURE_HEADER).split(" ")
    if not _ID.match(values[ID_HEADER]):
        raise MessageRefused(
            f"{ID_HEADER} must be 1 to 200 printable characters without blanks and dots.",
            reason="malformed_header",
        )
    if not _TIMESTAMP.match(values[TIMESTAMP_HEADER]):
        raise MessageRefused(
            f"{TIMESTAMP_HEADER} must be the whole seconds since 1970.", reason="malformed_header"
        )
    usable = tuple(text[3:] for text in signatures[:MOST_SIGNATURES] if text.startswith("v1,"))
    if not usable:
        raise MessageRefused(
            f"{SIGNATURE_HEADER} has no signature of the version v1, such as v1,<base64>.",
            reason="malformed_header",
        )
    return Message(values[ID_HEADER], values[TIMESTAMP_HEADER], usable, body)


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "").strip(" \t")
    if not value or len(value) > LONGEST_HEADER:
        raise MessageRefused(
            f"The header {name} is {'too long' if value else 'missing'}.",
            reason="malformed_header" if value else "missing_header",
        )
    return value


@sensitive_variables()
def is_signed_with(message: Message, secret: Secret) -> bool:
    """Return whether one of the signatures is that of the secret.

    Raises:
        ValueError: the secret stands for no key.
    """
    expected = signature_of(message.id, message.sent_at, message.body, secret).encode()
    # Every one is compared, so that the time says nothing of which was right.
    right = [hmac.compare_digest(expected, _ascii(text)) for text in message.signatures]
    return any(right)


def refusal_of_signature() -> MessageRefused:
    """Return the refusal of a message that is signed with no secret that is known."""
    return MessageRefused(
        "No signature is that of this message. It is over id.timestamp.body, with the body"
        " exactly as it is sent.",
        reason="bad_signature",
    )


def check_time(message: Message, *, now: float) -> None:
    """Refuse a message that was not signed within five minutes of `now`.

    Raises:
        MessageRefused: with the `reason` wrong_time.
    """
    away = message.timestamp - now
    if abs(away) > TOLERANCE_SECONDS:
        sentence = f"{abs(away):.0f} s {'ahead of' if away > 0 else 'behind'} the clock here"
        raise MessageRefused(
            f"{TIMESTAMP_HEADER} is {sentence}; at most {TOLERANCE_SECONDS} s are allowed.",
            reason="wrong_time",
        )


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace")
