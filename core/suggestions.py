"""What may have been meant: the end of a sentence about a name that nothing has."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

# Names that a reference is compared with: a thousand take a few milliseconds.
MOST_COMPARED = 2_000


def did_you_mean(name: object, names: Iterable[str]) -> str:
    """End a sentence: with close matches in any case, or with a full stop."""
    matches = _close(name, names)
    return f"; did you mean {either(matches)}?" if matches else "."


def either(names: Iterable[str]) -> str:
    return " or ".join(names)


def meant_among(rows: Any, reference: object) -> str:
    """End a sentence about a row that is not there: with rows of such names, or a full stop."""
    names = rows.order_by("name").values_list("name", flat=True)[:MOST_COMPARED]
    return did_you_mean(reference, names)


def no_such_row(rows: Any, reference: object) -> str:
    """Say that none of these rows has the id or name that was asked for, and which are close."""
    noun, close = rows.model._meta.verbose_name, meant_among(rows, reference)
    return f"No {noun} with the id or name '{str(reference)[:100]}'{close}"


def no_such_filter(name: str, known: Iterable[str]) -> str:
    """Say of a query's name that it filters nothing, and which ones do."""
    names = [*known]
    return f"There is no such filter{did_you_mean(name, names)} Use: {', '.join(names)}."


def _close(name: object, names: Iterable[str]) -> list[str]:
    by_lower = {word.lower(): word for word in names}
    matches = get_close_matches(str(name)[:100].lower(), [*by_lower], n=3, cutoff=0.6)
    return [by_lower[word] for word in matches]
