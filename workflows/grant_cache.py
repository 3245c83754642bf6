"""A cache of which calls of a version may use which credential; a grant that goes is heard of."""

from __future__ import annotations

import time
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from core.cache import BoundedCache
from core.identifiers import read_id
from core.news import ChangeIndex, Concern, own_news
from workflows.models import CredentialGrant

MOST_CACHED = 500
CACHED_SECONDS = 2.0
# The topic under which processes tell each other whose grants changed.
NEWS = "grants"


class GrantedCall(NamedTuple):
    """A call that may use a credential; `target_id` is of what the step names."""

    step: str
    compensates: bool
    target_id: UUID
    credential_id: UUID


Grants = frozenset[GrantedCall]
_grants: BoundedCache[UUID, tuple[float, int, Grants]] = BoundedCache(MOST_CACHED)


@cache
def _changes() -> ChangeIndex:
    return ChangeIndex(own_news(), NEWS)


def cached_grants(version_id: Any) -> Grants | None:
    """Return the grants of a version as they were at most two seconds ago; None if not at hand.

    Of what was heard to have changed none are at hand.
    """
    key = _key_of(version_id)
    entry = _grants.get(key) if key is not None else None
    if entry is None:
        return None
    until, as_of, grants = entry
    is_fresh = time.monotonic() < until and _changes().is_unchanged(
        as_of, Concern(frozenset((str(key),)))
    )
    return grants if is_fresh else None


def read_grants(version_id: Any) -> Grants:
    """Return the grants of a version as they are now."""
    key = _key_of(version_id)
    if key is None:
        return frozenset()
    own_news().listen()
    as_of, until = _changes().latest, time.monotonic() + CACHED_SECONDS
    rows = CredentialGrant.objects.valid().filter(version=key)
    columns = ("step", "compensates", "target_id", "credential_id")
    grants = frozenset(GrantedCall(*row) for row in rows.values_list(*columns))
    _grants[key] = (until, as_of, grants)
    return grants


def tell_changed(version_id: UUID) -> None:
    """Tell every process that the grants of a version are not what they were."""
    own_news().tell(NEWS, str(version_id))


def forget_grants() -> None:
    """Empty the cache, so that the next look reads the database."""
    _grants.clear()


def _key_of(version_id: Any) -> UUID | None:
    return version_id if isinstance(version_id, UUID) else read_id(str(version_id or ""))
