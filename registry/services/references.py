"""Who uses a row, whatever refers to it: asked before it is deleted, and told when it is renamed.

Columns that refer are found by the models themselves. What names a row in a document is known to
the app of the document, which adds its own `Finder` here, and hears of `renamed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.db.models import CASCADE, PROTECT, Model
from django.db.models.functions import Lower

from core.db.models import renamed
from core.exceptions import Conflict
from registry.models import Integration, Service, TargetKind

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
    if isinstance(row, Service):
        yield from (title_of(user) for user in _aimed_at(str(row.pk), row.name))
    for find in _finders:
        yield from find(row)


def is_resource(model: type[Model]) -> bool:
    """Whether rows of a model stand for themselves, and are no part or record of others."""
    names = {field.name for field in model._meta.get_fields()}
    return {"name", "updated_at"} <= names and model._meta.model_name not in PARTS


# They have names, and go with their service.
PARTS = ("serviceaction",)


def title_of(user: Any) -> str:
    return f"{user._meta.verbose_name} {user}"


def _aimed_at(key: str, name: str) -> Iterator[Integration]:
    aimed = Integration.objects.filter(target_kind=TargetKind.SERVICE)
    lowered = aimed.annotate(lowered=Lower("target"))
    yield from lowered.filter(lowered__in=(key, name.lower()))[: MOST_NAMED + 1]


def follow_rename(row: Any, before: str, **_: Any) -> None:
    """Let integrations go on naming a service that has another name now."""
    if isinstance(row, Service):
        aimed = Integration.objects.filter(target_kind=TargetKind.SERVICE, target__iexact=before)
        aimed.update(target=row.name)


renamed.connect(follow_rename, dispatch_uid="registry.services.references")
