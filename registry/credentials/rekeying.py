"""Moving every sealed secret to the current key, in bounded batches that may stop at any time.

A row is done when its `key_id` is the current one, so a run that was killed is simply started
again. Each row is written only if it still holds what was read: a secret that was set meanwhile
wins, and two runs at once do no harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db.models import Count

from core.exceptions import VaultError
from core.vault import KeyRing, get_key_ring, rewrap
from registry.models.credential import SealedModel


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """The outcome of one batch: rows that were moved, and those that cannot be, with the reason."""

    moved: int
    unreadable: tuple[tuple[str, str], ...]


def sealed_models() -> list[type[SealedModel]]:
    """Return every table with sealed secrets, of whatever app."""
    return [model for model in apps.get_models() if issubclass(model, SealedModel)]


def count_by_key() -> dict[str, int]:
    """Count the sealed secrets by the key that they need."""
    counts: dict[str, int] = {}
    for model in sealed_models():
        held = _sealed(model).values_list("key_id").annotate(rows=Count("pk")).order_by()
        for key_id, rows in held:
            counts[key_id] = counts.get(key_id, 0) + rows
    return counts


def count_remaining() -> int:
    """Count the sealed secrets that are not on the current key: the old keys may go at 0."""
    current = get_key_ring().current
    return sum(rows for key_id, rows in count_by_key().items() if key_id != current)


def rewrap_all(*, batch: int = 100) -> Iterator[Rewrapped]:
    """Move everything to the current key, telling about each batch.

    Raises:
        VaultError: `CREDENTIAL_KEYS` cannot be used.
    """
    ring = get_key_ring()
    for model in sealed_models():
        last: Any = None
        while rows := _next(model, ring, after=last, batch=batch):
            last = rows[-1].pk
            yield _rewrap_batch(model, rows, ring)


def _sealed(model: Any) -> Any:
    return model.objects.exclude(key_id="")


def _next(model: Any, ring: KeyRing, *, after: Any, batch: int) -> list[Any]:
    waiting = _sealed(model).exclude(key_id=ring.current).order_by("pk")
    if after is not None:
        waiting = waiting.filter(pk__gt=after)
    return list(waiting[:batch])


def _rewrap_batch(model: Any, rows: list[Any], ring: KeyRing) -> Rewrapped:
    moved, unreadable = 0, []
    for row in rows:
        try:
            sealed = rewrap(row.sealed, row.place, ring)
        except VaultError as error:
            unreadable.append((str(row), error.message))
            continue
        same = model.objects.filter(pk=row.pk, ciphertext=row.ciphertext)
        moved += same.update(ciphertext=sealed.ciphertext, key_id=sealed.key_id)
    return Rewrapped(moved, tuple(unreadable))
