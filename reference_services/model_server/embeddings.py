"""Vectors of texts: the hashing trick over words and their trigrams, of length 1."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

from reference_services.words import STOP_WORDS, words


def embed(text: str, dimensions: int) -> list[float]:
    """Return the text's vector: texts that share words, or parts of words, point the same way."""
    vector = [0.0] * dimensions
    for feature, weight in _features(text):
        digest = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest())
        vector[(digest >> 1) % dimensions] += weight if digest & 1 else -weight
    length = math.sqrt(sum(value * value for value in vector))
    if not length:  # no words: any direction, as long as it is one
        vector[0] = length = 1.0
    return [value / length for value in vector]


def _features(text: str) -> Iterator[tuple[str, float]]:
    for word in words(text):
        weight = 0.2 if word in STOP_WORDS else 1.0
        yield word, weight
        padded = f"<{word}>"
        for index in range(len(padded) - 2):
            yield padded[index : index + 3], 0.3 * weight
