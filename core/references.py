"""Who uses a row, whatever refers to it: asked before it is deleted, and told when it is renamed.

Columns that refer are found by the models themselves. What names a row in a document is known to
the app of the document, which adds its own `Finder` here, and hears of `renamed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.db.models import CASCADE, PROTECT, Model

from core.exceptions import Conflict

Finder = Callable[[Any], Iterable[str]]

MOST_NAMED = 20
_finders: list[Finder] = []


def add_finder(find: Finder) -> None:
    """Ask this function too for what uses a row: it gives titles such as "workflow orders"."""
    _finders.append(find)


def users_of(row: Any) -> list[str]:
    """What uses a row, by its title; at most one more than `MOST_NAMED`."""
    found: dict[str, None] = {}
    for title in _titles(row):
        found[title] = None
        if len(found) > MOST_NAMED:
            break
    return list(found)


def refuse_if_used(row: Any, *, force: bool = False) -> None:
    """Refuse to delete what something uses, unless that is asked for.

    Raises:
        Conflict: with the titles of what uses it in `used_by`.
    """
    users = [] if force else users_of(row)
    if not users:
        return
    shown = ", ".join(users[:MOST_NAMED]) + (" and more" if len(users) > MOST_NAMED else "")
    raise Conflict(
        f"The {row._meta.verbose_name} '{row}' is used by {shown}. Change that first, or delete it"
        " over the API with ?force=true.",
        used_by=users[:MOST_NAMED],
    )


def _titles(row: Any) -> Iterator[str]:
    for relation in row._meta.related_objects:
        if relation.on_delete in (CASCADE, PROTECT) and is_resource(relation.related_model):
            users = relation.related_model._default_manager.filter(**{relation.field.name: row.pk})
            yield from (title_of(user) for user in users[: MOST_NAMED + 1])
    for find in _finders:
        yield from find(row)


def is_resource(model: type[Model]) -> bool:
    """Whether rows of a model stand for themselves, and are no part or record of others."""
    names = {field.name for field in model._meta.get_fields()}
    return {"name", "updated_at"} <= names and not getattr(model, "is_part", False)


def title_of(user: Any) -> str:
    return f"{user._meta.verbose_name} {user}"
