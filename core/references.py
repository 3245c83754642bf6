"""Finds who uses a row, whatever refers to it: before it is deleted, and when it is renamed.

Columns that refer are found by the models themselves. What names a row in a document or a text is
known to the app of that, which adds its own `Finder` here, and hears of `renamed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.db.models import CASCADE, PROTECT

from core.db.models import NamedModel
from core.exceptions import Conflict

Finder = Callable[[Any], Iterable[str]]

MAX_NAMED_USERS = 20
_finders: list[Finder] = []


def add_finder(find: Finder) -> None:
    """Ask this function too for what uses a row: it gives titles such as "workflow orders"."""
    _finders.append(find)


def users_of(row: NamedModel) -> list[str]:
    """Return what uses a row, by its title; at most one more than `MAX_NAMED_USERS`."""
    titles: dict[str, None] = {}
    for title in _titles(row):
        titles[title] = None
        if len(titles) > MAX_NAMED_USERS:
            break
    return list(titles)


def refuse_if_used(row: NamedModel, *, force: bool = False) -> None:
    """Refuse to delete what something uses, unless that is asked for.

    Raises:
        Conflict: with the titles of what uses it in `used_by`.
    """
    users = [] if force else users_of(row)
    if not users:
        return
    more = " and more" if len(users) > MAX_NAMED_USERS else ""
    users = users[:MAX_NAMED_USERS]
    raise Conflict(
        f"The {row._meta.verbose_name} '{row}' is used by {', '.join(users)}{more}. Change that"
        " first, or delete it over the API with ?force=true.",
        used_by=users,
    )


def referring_rows(row: NamedModel, *, most: int) -> Iterator[NamedModel]:
    """Yield the named rows with a column that refers to this one, so many for each column."""
    for relation in row._meta.related_objects:
        users: Any = relation.related_model
        if relation.on_delete not in (CASCADE, PROTECT) or not issubclass(users, NamedModel):
            continue
        if users.part_of != relation.field.name:
            yield from users._default_manager.filter(**{relation.field.name: row.pk})[:most]


def is_held(row: NamedModel) -> bool:
    """Return whether rows refer to this one that cannot be without it, whatever is asked for."""
    return any(
        relation.related_model._default_manager.filter(**{relation.field.name: row.pk}).exists()
        for relation in row._meta.related_objects
        if relation.on_delete is PROTECT
    )


def title_of(user: NamedModel) -> str:
    """Return what a row is called among others, such as "workflow orders"."""
    return f"{user._meta.verbose_name} {user}"


def _titles(row: NamedModel) -> Iterator[str]:
    yield from map(title_of, referring_rows(row, most=MAX_NAMED_USERS + 1))
    for find in _finders:
        yield from find(row)
