"""The key that the text of a signing secret stands for (pure)."""

from __future__ import annotations

import base64
import binascii

PREFIX = "whsec_"
# RFC 2104 advises against keys shorter than the hash; 16 bytes cannot be guessed.
SHORTEST_KEY = 16
_SENTENCE = (
    "Behind whsec_ there must be the key in base64, with the letters A to Z, a to z, 0 to 9, + and"
    " /. Take whsec_ away if the text itself is the key."
)


def key_of(text: str) -> bytes:
    """Return the key: base64 behind `whsec_`, padded or not; any other text in UTF-8.

    Raises:
        ValueError: what is behind the prefix is no base64, or the key is too short; the sentence
            does not repeat it.
    """
    if not text.startswith(PREFIX):
        key = text.encode()
    else:
        encoded = text.removeprefix(PREFIX)
        padding = "" if encoded.endswith("=") else "=" * (-len(encoded) % 4)
        try:
            key = base64.b64decode(encoded + padding, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(_SENTENCE) from None
    if len(key) < SHORTEST_KEY:
        raise ValueError(
            f"It stands for a key of {len(key)} bytes, which could be guessed: use {SHORTEST_KEY}"
            " random bytes or more."
        )
    return key
