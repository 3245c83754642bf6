"""What a reference to a row means: its id, in any form that is one, or else its name (pure)."""

from __future__ import annotations

from typing import Any
from uuid import UUID


def read_id(reference: Any) -> UUID | None:
    """Return the id that a text writes: with dashes or without, in braces, or as a URN.

    What reads as an id is one and never a name; so no name may read as one.
    """
    try:
        return UUID(str(reference).strip())
    except ValueError:
        return None
