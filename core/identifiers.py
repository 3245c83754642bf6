"""What a reference to a row means: its id, in any form that is one, or else its name (pure)."""

from __future__ import annotations

import uuid
from typing import Any
from uuid import UUID

# Ids of texts are made in this namespace: never change it, as rows have them.
_TEXTS = UUID("6f2d0b2e-5b0f-5c53-9a55-0d4f3c0e7a11")


def read_id(reference: Any) -> UUID | None:
    """Return the id that a text writes: with dashes or without, in braces, or as a URN.

    What reads as an id is one and never a name; so no name may read as one.
    """
    try:
        return UUID(str(reference).strip())
    except ValueError:
        return None


def id_of_text(text: str) -> UUID:
    """Return the id of a row that had this text as its identifier elsewhere: always the same.

    A text that writes an id has that one.
    """
    return read_id(text) or uuid.uuid5(_TEXTS, text.replace("\x00", "\ufffd"))
