"""How long answers took: counts in twenty buckets, which add up, and percentiles (pure)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

# Four buckets for each power of ten, from a millisecond to half a minute; the last has the rest.
BOUNDS = tuple(round(10 ** (step / 4), 1) for step in range(19))
BUCKETS = len(BOUNDS) + 1


def count_latencies(milliseconds: Iterable[float]) -> list[int]:
    """Return how many of these are in each bucket; empty where there are none."""
    counts = [0] * BUCKETS
    for each in milliseconds:
        counts[bisect_left(BOUNDS, each)] += 1
    return counts if any(counts) else []


def merge_latencies(histograms: Iterable[Sequence[int]]) -> list[int]:
    """Return the sum of histograms; empty ones add nothing."""
    sums = [0] * BUCKETS
    for histogram in histograms:
        for place, count in enumerate(histogram[:BUCKETS]):
            sums[place] += count
    return sums if any(sums) else []


def percentile(histogram: Sequence[int], share: float) -> float | None:
    """Return the time within which this share of answers came, at most a bucket off; or None."""
    total = sum(histogram)
    if not total:
        return None
    rank, before = share * total, 0
    for place, count in enumerate(histogram):
        if count and before + count >= rank:
            low = BOUNDS[place - 1] if place else 0.0
            high = BOUNDS[place] if place < len(BOUNDS) else BOUNDS[-1]
            return round(low + (high - low) * (rank - before) / count, 1)
        before += count
    return BOUNDS[-1]
