"""Keeping secrets: the type that hides them, the keys that wrap them, and their envelopes.

Nothing in here knows a table; what is stored where is told by `Place`.
"""

from registry.vault.envelope import Place, Sealed, rewrap, seal, unseal
from registry.vault.keys import KeyRing, fingerprint, get_key_ring, new_key, read_keys
from registry.vault.secret import Secret

__all__ = [
    "KeyRing",
    "Place",
    "Sealed",
    "Secret",
    "fingerprint",
    "get_key_ring",
    "new_key",
    "read_keys",
    "rewrap",
    "seal",
    "unseal",
]
