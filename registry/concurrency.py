"""Optimistic concurrency: a change that insists on the row being as its caller read it."""

from __future__ import annotations

from typing import Any

from registry.exceptions import PreconditionFailed


def refuse_if_changed(locked: Any, read: Any, *, only_as_read: bool) -> None:
    """Refuse a change of a row that somebody else changed after it was read.

    `locked` is the row as it is now, `read` as the caller saw it; without `only_as_read` the caller
    does not insist.

    Raises:
        PreconditionFailed: it was changed in between.
    """
    if only_as_read and locked.updated_at != read.updated_at:
        raise PreconditionFailed(
            f"The {locked._meta.verbose_name} '{read.name}' was changed since you read it."
            " Read it again first."
        )
