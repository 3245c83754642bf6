"""The keys that secrets are wrapped with: read from `CREDENTIAL_KEYS`, never from the database."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.views.decorators.debug import sensitive_variables

from core.exceptions import VaultError

KEY_BYTES = 32
FINGERPRINT_LENGTH = 16
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_FORM = "Use key_id:base64 of 32 bytes, several separated by commas, the current one first."


@dataclass(frozen=True)
class KeyRing:
    """Key-encryption keys by their ids; `current` wraps what is stored from now on."""

    current: str
    keys: Mapping[str, bytes] = field(repr=False)

    def key(self, key_id: str) -> bytes:
        """Return the key of that id.

        Raises:
            VaultError: it is not in `CREDENTIAL_KEYS`.
        """
        try:
            return self.keys[key_id]
        except KeyError:
            raise VaultError(
                f"The key '{key_id}' is not among CREDENTIAL_KEYS, so this secret cannot be read."
                " Add that key, or set the secret again."
            ) from None

    def __contains__(self, key_id: object) -> bool:
        return key_id in self.keys


@sensitive_variables()
def read_keys(text: str) -> KeyRing:
    """Read `key_id:base64,...`; the first is current.

    Raises:
        VaultError: there is none, or one cannot be read. The sentence holds no key.
    """
    keys: dict[str, bytes] = {}
    for position, entry in enumerate(filter(None, (part.strip() for part in text.split(",")))):
        key_id, _, encoded = entry.partition(":")
        if not _KEY_ID.match(key_id):
            raise VaultError(f"Entry {position + 1} of CREDENTIAL_KEYS has no usable id. {_FORM}")
        if key_id in keys:
            raise VaultError(f"CREDENTIAL_KEYS has two keys with the id '{key_id}'.")
        keys[key_id] = _decode(encoded, key_id)
    if not keys:
        raise VaultError(f"CREDENTIAL_KEYS is not set: no secret can be stored or used. {_FORM}")
    return KeyRing(next(iter(keys)), keys)


@sensitive_variables()
def _decode(encoded: str, key_id: str) -> bytes:
    standard = encoded.replace("-", "+").replace("_", "/")
    try:
        key = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise VaultError(f"The key '{key_id}' of CREDENTIAL_KEYS is not base64 of 32 bytes.")
    return key


def get_key_ring() -> KeyRing:
    """Return the keys of this installation.

    Raises:
        VaultError: `CREDENTIAL_KEYS` is not set or cannot be read.
    """
    return _ring_of(settings.CREDENTIAL_KEYS)


_ring_of = lru_cache(maxsize=4)(read_keys)


def new_key(name: str) -> str:
    """Return a fresh key as an entry of `CREDENTIAL_KEYS`: its name, something random, itself."""
    key = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    return f"{name}-{secrets.token_hex(4)}:{key}"


@sensitive_variables()
def fingerprint(text: str, *, ring: KeyRing, context: str) -> str:
    """Return a keyed hash that changes with the text and leads nobody back to it.

    `context` keeps equal texts of different rows apart, so that one row is no oracle for another.
    The key is derived from the current one (HKDF, RFC 5869).
    """
    kdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"credential fingerprint")
    key = kdf.derive(ring.key(ring.current))
    message = f"{context}\x00{text}".encode()
    return hmac.new(key, message, "sha256").hexdigest()[:FINGERPRINT_LENGTH]
