"""Remembers the beginnings of long prompts, as providers do, so that repeated ones cost less."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

SHORTEST = 1024
STEP = 128
MOST_PROMPTS = 1000


class PromptPrefixCache:
    """Digests of the first 1,024, 1,152, 1,280 … tokens of the prompts that came lately."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def forget(self) -> None:
        self._seen.clear()

    def read_tokens(self, model: str, tokens: list[str]) -> int:
        """Return how many of the first tokens came before, and remember all of these."""
        cached = 0
        if len(tokens) < SHORTEST:
            return 0
        digest = hashlib.sha256(model.encode())
        for start in range(0, len(tokens) - STEP + 1, STEP):
            digest.update("\0".join(tokens[start : start + STEP]).encode(errors="replace"))
            length = start + STEP
            if length < SHORTEST:
                continue
            key = digest.digest()
            if key in self._seen:
                cached = length
            self._seen[key] = None
            self._seen.move_to_end(key)
        while len(self._seen) > MOST_PROMPTS:
            self._seen.popitem(last=False)
        return cached
