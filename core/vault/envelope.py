"""Envelopes: a secret under a key of its own, that key under a key of the ring (AES-256-GCM).

The associated data of both layers are the table, the row and the field, so that a ciphertext that
is put elsewhere does not open. The outer layer also names the key, so that it cannot be relabelled.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.views.decorators.debug import sensitive_variables

from core.exceptions import VaultError
from core.vault.key_ring import KEY_BYTES, KeyRing
from core.vault.secret import Secret

VERSION = "v1"
NONCE_BYTES = 12
TAG_BYTES = 16
_WRAPPED_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES
_SENTENCE = (
    "The stored secret cannot be decrypted: it was damaged, or moved from another place."
    " Set it again."
)


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """Where a secret is stored."""

    table: str
    row_id: str
    field: str

    def associated_data(self, layer: str) -> bytes:
        """Return what the ciphertext is bound to. The lengths keep the parts apart."""
        parts = (VERSION, layer, self.table, self.row_id, self.field)
        return b"".join(len(part).to_bytes(4, "big") + part.encode() for part in parts)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret as it is stored, and the id of the key that it needs."""

    ciphertext: str
    key_id: str


@sensitive_variables()
def seal(secret: Secret, column: SealedColumn, ring: KeyRing) -> Sealed:
    """Encrypt a secret for one place, with the current key."""
    data_key = AESGCM.generate_key(KEY_BYTES * 8)
    payload = _encrypt(data_key, secret.reveal().encode(), column.associated_data("payload"))
    return _join(_wrap(data_key, column, ring), payload, ring.current)


@sensitive_variables()
def unseal(sealed: Sealed, column: SealedColumn, ring: KeyRing) -> Secret:
    """Return the secret of an envelope.

    Raises:
        VaultError: its key is not in the ring, or the envelope was damaged or moved.
    """
    wrapped, payload = _split(sealed)
    data_key = _unwrap(wrapped, sealed.key_id, column, ring)
    return Secret(_decrypt(data_key, payload, column.associated_data("payload")).decode())


@sensitive_variables()
def rewrap(sealed: Sealed, column: SealedColumn, ring: KeyRing) -> Sealed:
    """Seal a secret anew under the current key; that it can be read is checked on the way.

    Raises:
        VaultError: it cannot be read.
    """
    wrapped, payload = _split(sealed)
    data_key = _unwrap(wrapped, sealed.key_id, column, ring)
    _decrypt(data_key, payload, column.associated_data("payload"))
    return _join(_wrap(data_key, column, ring), payload, ring.current)


def _join(wrapped: bytes, payload: bytes, key_id: str) -> Sealed:
    text = base64.b64encode(wrapped + payload).decode()
    return Sealed(f"{VERSION}.{text}", key_id)


def _split(sealed: Sealed) -> tuple[bytes, bytes]:
    version, _, text = sealed.ciphertext.partition(".")
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        data = b""
    if version != VERSION or len(data) < _WRAPPED_BYTES + NONCE_BYTES + TAG_BYTES:
        raise VaultError(_SENTENCE)
    return data[:_WRAPPED_BYTES], data[_WRAPPED_BYTES:]


@sensitive_variables()
def _wrap(data_key: bytes, column: SealedColumn, ring: KeyRing) -> bytes:
    bound = column.associated_data(f"key {ring.current}")
    return _encrypt(ring.key(ring.current), data_key, bound)


@sensitive_variables()
def _unwrap(wrapped: bytes, key_id: str, column: SealedColumn, ring: KeyRing) -> bytes:
    return _decrypt(ring.key(key_id), wrapped, column.associated_data(f"key {key_id}"))


@sensitive_variables()
def _encrypt(key: bytes, data: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, bound)


@sensitive_variables()
def _decrypt(key: bytes, data: bytes, bound: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], bound)
    except InvalidTag:
        raise VaultError(_SENTENCE) from None
