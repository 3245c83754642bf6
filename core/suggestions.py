"""What may have been meant: the end of a sentence about a name that nothing has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from typing import Any

# Names that a reference is compared with: a thousand take a few milliseconds.
MOST_COMPARED = 2_000
# Pairs of equal letters that are looked at for one name, and for all names of one document.
MOST_LETTERS = 50_000
MOST_LETTERS_IN_ALL = 400_000
# Unknown names of one object that are told: of thousands, the first.
MOST_UNKNOWN = 50
# How much of two texts has to be the same.
_CUTOFF = 0.6
_left: ContextVar[list[int] | None] = ContextVar("letters_left", default=None)


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


@contextmanager
def few_suggestions() -> Iterator[None]:
    """Compare names for what a caller sent within one budget, however many of them are wrong.

    Of a document with thousands of wrong names, only the first are said what may be meant. Inside
    of another it is the other one's budget.
    """
    token = _left.set([MOST_LETTERS_IN_ALL]) if _left.get() is None else None
    try:
        yield
    finally:
        if token is not None:
            _left.reset(token)


def _close(name: object, names: Iterable[str]) -> list[str]:
    wanted = str(name)[:100].lower()
    by_lower = dict(_comparable(wanted, names))
    matches = get_close_matches(wanted, [*by_lower], n=3, cutoff=_CUTOFF)
    return [by_lower[word] for word in matches]


def _comparable(wanted: str, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the names that may be close, in small letters and as they are, while a budget lasts.

    Comparing two texts takes some steps for each pair of equal letters in them.
    """
    counts, left = Counter(wanted), MOST_LETTERS
    shared = _left.get()
    for word in names:
        lower = word.lower()
        total = len(wanted) + len(lower)
        # Of what is too long or too short, and of other letters, nothing more is looked at.
        is_close = 2 * min(len(wanted), len(lower)) >= _CUTOFF * total
        common = sum((counts & Counter(lower)).values()) if is_close else 0
        cost = 1 + len(lower) // 8 if is_close else 1
        if is_close := 2 * common >= _CUTOFF * total:
            cost += sum(map(counts.__getitem__, lower))
        left -= cost
        if shared is not None:
            shared[0] -= cost
        if left < 0 or (shared is not None and shared[0] < 0):
            return
        if is_close:
            yield lower, word
