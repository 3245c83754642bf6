"""Items of lists: without what is large unless it is asked for, and never more than 2 MB of them.

A serializer names what is left out of lists (`left_out`), what may be large besides (`large`), and
the path at which an item is answered whole (`whole_at`). What does not fit is cut, the largest
first, and the item says so: `"cut": {"members": {"output": 1048576}, "whole_at": "/executions/…"}`,
with the bytes that each had.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.utils.encoders import JSONEncoder

from core.api.serializers import AnswerSerializer
from core.suggestions import did_you_mean

INCLUDE = "include"
# What the names of items begin with in the document.
LISTED = "Listed"
CUT = "cut"
LARGEST_LIST_BYTES = 2_000_000
# What stands around the items of a page, and what an item says of a member that was cut.
_AROUND_BYTES, _MARK_BYTES = 10_000, 60
_LONGEST_NAMED = 100


def in_list(serializer: type[AnswerSerializer], **options: Any) -> Any:
    """Return what the document says of a list: what may be missing of an item is not required."""
    return _listed(serializer)(many=True, **options)


@cache
def _listed(serializer: type[AnswerSerializer]) -> type[AnswerSerializer]:
    if not serializer.left_out and not serializer.large:
        return serializer
    return type(f"{LISTED}{serializer.__name__}", (serializer,), {"is_listed": True})


def read_include(query: Mapping[str, str], serializer: type[AnswerSerializer]) -> frozenset[str]:
    """Return the members that are asked for with `?include=input,output`.

    Raises:
        ValidationError: one of them is not among those that are left out.
    """
    text = query.get(INCLUDE, "") if serializer.left_out else ""
    names = [name for name in (part.strip() for part in text.split(",")) if name]
    for name in names:
        if name not in serializer.left_out:
            close = did_you_mean(name, serializer.left_out)
            sentence = (
                f"'{name[:_LONGEST_NAMED]}' is not left out of this list{close}"
                f" Use: {', '.join(serializer.left_out)}."
            )
            raise ValidationError({INCLUDE: [sentence]})
    return frozenset(names)


def without_columns(
    rows: Any, serializer: type[AnswerSerializer], included: frozenset[str] = frozenset()
) -> Any:
    """Return the rows of a list without the columns that no item will show."""
    if not isinstance(rows, QuerySet):
        return rows
    columns = _columns_of(serializer)
    shown = {columns[name] for name in included}
    return rows.defer(*{columns[name] for name in serializer.left_out} - shown)


@cache
def _columns_of(serializer: type[AnswerSerializer]) -> Mapping[str, str]:
    """Return the column of each member that is left out."""
    fields = serializer().fields
    return {name: str(fields[name].source) for name in serializer.left_out}


def represent_items(
    rows: Iterable[Any],
    serializer: type[AnswerSerializer],
    *,
    included: frozenset[str] = frozenset(),
    context: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Return rows as items of a list, of at most 2 MB of JSON together."""
    shown = serializer(context=dict(context or {}))
    for name in frozenset(serializer.left_out) - included:
        shown.fields.pop(name)
    found = list(rows)
    items = [shown.to_representation(row) for row in found]
    return fit(items, found, serializer)


def fit(
    items: list[dict[str, Any]],
    rows: Sequence[Any],
    serializer: type[AnswerSerializer],
    *,
    most: int = LARGEST_LIST_BYTES,
) -> list[dict[str, Any]]:
    """Cut the largest members of the items until all are at most `most` bytes of JSON."""
    excess = _excess([size_of(item) for item in items], most)
    if excess <= 0:
        return items
    for size, index, name in _members(items, serializer):
        if excess <= 0:
            break
        item = items[index]
        del item[name]
        if CUT not in item:
            whole_at = serializer.whole_at.format(row=rows[index])
            item[CUT] = {"members": {}, "whole_at": whole_at}
            excess += size_of(item[CUT]) + len(CUT) + 4
        item[CUT]["members"][name] = size
        excess -= size - _MARK_BYTES
    return items


def fits_in_list(sizes: Iterable[int]) -> bool:
    """Return whether items of so many bytes each fit as they are."""
    return _excess([*sizes], LARGEST_LIST_BYTES) <= 0


def _excess(sizes: Sequence[int], most: int) -> int:
    return sum(sizes) + len(sizes) + _AROUND_BYTES - most


def _members(
    items: Sequence[Mapping[str, Any]], serializer: type[AnswerSerializer]
) -> list[tuple[int, int, str]]:
    """Return size, index and name of what may be cut, the largest first."""
    names = (*serializer.left_out, *serializer.large)
    sized = (
        (size_of(item[name]), index, name)
        for index, item in enumerate(items)
        for name in names
        if name in item
    )
    return sorted((each for each in sized if each[0] > _MARK_BYTES), reverse=True)


def size_of(value: Any) -> int:
    """Return the bytes of a value as it is answered."""
    text = json.dumps(value, cls=JSONEncoder, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode("utf-8", "surrogatepass"))
