"""Keeping secrets: the type that hides them, the keys that wrap them, and their envelopes.

Nothing in here knows a table; what is stored where is told by `SealedColumn`.
"""

from core.vault.envelope import Sealed, SealedColumn, rewrap, seal, unseal
from core.vault.key_ring import KeyRing, fingerprint, get_key_ring, new_key, read_keys
from core.vault.secret import Secret

__all__ = [
    "KeyRing",
    "Sealed",
    "SealedColumn",
    "Secret",
    "fingerprint",
    "get_key_ring",
    "new_key",
    "read_keys",
    "rewrap",
    "seal",
    "unseal",
]
