"""What it takes to open an encrypted private key, before it is opened (pure).

The key itself says how often its passphrase is stretched: a billion times takes half an hour, in
which the whole process stands still.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterator

MOST_ROUNDS = 100_000
_BLOCK = re.compile(r"-----BEGIN ([^-\n]{1,50})-----([^-]*)-----END \1-----")
_INTEGER, _CONSTRUCTED, _LONG_FORM = 0x02, 0x20, 0x80
# The object identifier of scrypt (RFC 7914, 7.1), whose numbers multiply.
_SCRYPT = bytes.fromhex("2B06010401DA47040B")
_DEEPEST = 10


def check_rounds(pem: str) -> None:
    """Refuse a key that takes long to open.

    Raises:
        ValueError: it does, or what it says of that cannot be read.
    """
    for label, body in _BLOCK.findall(pem):
        if "ENCRYPTED" in label and _rounds_of(body) > MOST_ROUNDS:
            raise ValueError(
                f"The passphrase is stretched more than {MOST_ROUNDS:,} times, for which every call"
                " would wait. Encrypt the key again with fewer:"
                " openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 2048."
            )


def _rounds_of(body: str) -> int:
    """Return how often a passphrase is stretched: RFC 5958, EncryptedPrivateKeyInfo."""
    try:
        der = base64.b64decode("".join(body.split()), validate=True)
        ((_, info),) = _parts(der)
        _, algorithm = next(_parts(info))
    except (binascii.Error, ValueError, StopIteration):
        raise ValueError("The key cannot be read: is it PEM?") from None
    numbers = [*_integers(algorithm)]
    if _SCRYPT in algorithm:
        # What OpenSSL takes by itself, 16,384 x 8, is within the bound.
        return math.prod(numbers[:3]) // 2
    return max(numbers, default=0)


def _integers(der: bytes, depth: int = 0) -> Iterator[int]:
    if depth > _DEEPEST:
        raise ValueError("The key cannot be read: is it PEM?")
    for tag, content in _parts(der):
        if tag == _INTEGER:
            yield int.from_bytes(content, "big")
        elif tag & _CONSTRUCTED:
            yield from _integers(content, depth + 1)


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tags and contents that follow each other (X.690, definite lengths)."""
    at = 0
    while at < len(der):
        tag, size = der[at], int.from_bytes(der[at + 1 : at + 2], "big")
        at += 2
        if size & _LONG_FORM:
            digits = size & ~_LONG_FORM
            size = int.from_bytes(der[at : at + digits], "big")
            at += digits
        content = der[at : at + size]
        if len(content) < size:
            raise ValueError("The key cannot be read: is it PEM?")
        yield tag, content
        at += size
