"""I5, as receivers saw it: what came with which key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from workflows.invariants.model import Violation


def check_receipts(receipts: Iterable[Mapping[str, str]]) -> Iterator[Violation]:
    """I5: one place of one execution has one key, and no two places share one.

    Each receipt has `execution_id`, `path` and `idempotency_key`.
    """
    keys: dict[tuple[str, str], set[str]] = defaultdict(set)
    places: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for receipt in receipts:
        place = receipt["execution_id"], receipt["path"]
        keys[place].add(receipt["idempotency_key"])
        places[receipt["idempotency_key"]].add(place)
    for (execution, path), sent_keys in keys.items():
        if len(sent_keys) > 1:
            yield Violation("I5", execution, path, f"it was sent with {len(sent_keys)} keys.")
    for shared in places.values():
        if len(shared) > 1:
            execution, path = min(shared)
            yield Violation("I5", execution, path, f"its key was sent for {len(shared)} places.")
