"""The text model: which token follows the last ones, counted over the sample documents."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from reference_services.documents import read_document
from reference_services.model_server.tokenizer import tokenize
from reference_services.words import content_words, sentences

SAMPLES = Path(__file__).parents[1] / "samples"
LONGEST_CONTEXT = 3
# What is seen after a longer context counts for more: the weights of contexts of 1, 2, 3 tokens.
CONTEXT_WEIGHTS = (0.05, 1.0, 4.0)
END = ""
_MASK = (1 << 64) - 1
Choice = TypeVar("Choice")


class SeededChance:
    """Numbers from 0 to 1 that a seed determines on every machine: SplitMix64."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def __call__(self) -> float:
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return (z ^ (z >> 31)) / (_MASK + 1)


@dataclass(frozen=True)
class TokenSampling:
    """How the next token is chosen among those that may follow."""

    temperature: float = 1.0
    top_p: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None


class NgramModel:
    """Counts of what follows, and the sentences that an answer may begin with."""

    def __init__(self, paragraphs: Sequence[str]) -> None:
        self._followers: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        self._beginnings: list[tuple[frozenset[str], tuple[str, ...]]] = []
        for paragraph in paragraphs:
            self._learn([*tokenize(paragraph), END])
            for sentence in sentences(paragraph):
                words = frozenset(content_words(sentence))
                self._beginnings.append((words, tuple(tokenize(sentence)[:LONGEST_CONTEXT])))

    def _learn(self, tokens: list[str]) -> None:
        for length in range(1, LONGEST_CONTEXT + 1):
            for index in range(length, len(tokens)):
                self._followers[tuple(tokens[index - length : index])][tokens[index]] += 1

    def generate(self, prompt: str, sampling: TokenSampling) -> Iterator[str]:
        """Yield the tokens of an answer to the prompt, until the model ends it."""
        chance = SeededChance(_seed(prompt, sampling.seed))
        written: list[str] = []
        used: Counter[tuple[str, str]] = Counter()
        for token in self._beginning(prompt, sampling, chance):
            written.append(token)
            yield token
        while True:
            weights = self._weights(written)
            # A pair of tokens that was written weighs less, or the likeliest ones go in a circle.
            for token in weights:
                weights[token] /= (1 + 9 * used[written[-1], token]) ** 2
            token = choose(_penalized(weights, written, sampling), sampling, chance)
            if token == END:
                return
            used[written[-1], token] += 1
            written.append(token)
            yield token

    def _beginning(
        self, prompt: str, sampling: TokenSampling, chance: SeededChance
    ) -> tuple[str, ...]:
        """Return the first tokens of the sentence that has most in common with the prompt."""
        asked = set(content_words(prompt))
        weights = {
            tokens: 30.0 ** len(asked & words) / (1 + abs(len(words) - 8))
            for words, tokens in self._beginnings
        }
        return choose(weights, sampling, chance)

    def _weights(self, written: list[str]) -> dict[str, float]:
        weights: dict[str, float] = defaultdict(float)
        for length, weight in enumerate(CONTEXT_WEIGHTS, start=1):
            for token, count in self._followers.get(tuple(written[-length:]), {}).items():
                weights[token] += weight * count
        return weights or {END: 1.0}


def _seed(prompt: str, seed: int | None) -> int:
    digest = hashlib.sha256(f"{seed}\n{prompt}".encode(errors="replace")).digest()
    return int.from_bytes(digest[:8])


def _penalized(
    weights: dict[str, float], written: list[str], sampling: TokenSampling
) -> dict[str, float]:
    if not (sampling.presence_penalty or sampling.frequency_penalty):
        return weights
    counts = Counter(written)
    return {
        token: weight
        * math.exp(
            -sampling.presence_penalty * (counts[token] > 0)
            - sampling.frequency_penalty * counts[token]
        )
        for token, weight in weights.items()
    }


def choose(weights: dict[Choice, float], sampling: TokenSampling, chance: SeededChance) -> Choice:
    """Return a choice by its weight; the heaviest, or the first of them, at temperature 0."""
    ordered = sorted(weights.items(), key=lambda item: -item[1])
    if sampling.temperature <= 0:
        return ordered[0][0]
    heaviest = ordered[0][1]
    scaled = [(c, (weight / heaviest) ** (1 / sampling.temperature)) for c, weight in ordered]
    kept = _nucleus(scaled, sampling.top_p)
    left = chance() * sum(weight for _, weight in kept)
    for choice, weight in kept:
        left -= weight
        if left < 0:
            return choice
    return kept[-1][0]


def _nucleus(ordered: list[tuple[Choice, float]], top_p: float) -> list[tuple[Choice, float]]:
    """Return the heaviest choices that have the share of the weight together."""
    left = top_p * sum(weight for _, weight in ordered)
    for index, (_, weight) in enumerate(ordered):
        left -= weight
        if left <= 0:
            return ordered[: index + 1]
    return ordered


@cache
def sample_model() -> NgramModel:
    """Return the model over the sample documents, which it learns in some milliseconds."""
    paths = sorted(path for path in SAMPLES.iterdir() if path.suffix != ".pdf")  # slow to read
    texts = (read_document(path).text for path in paths)
    paragraphs = (" ".join(part.split()) for text in texts for part in text.split("\n\n"))
    return NgramModel([part for part in paragraphs if part.endswith((".", "!", "?"))])
