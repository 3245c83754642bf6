"""Who uses a credential: rows of every app that refer to it, and what they are called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import PROTECT

from registry.models import Credential, Service


def users_of(credential: Credential, *, most: int) -> list[Any]:
    """Services, connections and whatever else has the credential, so many of each kind at most.

    Found by what refers to it, so that an app above this one needs not be known here.
    """
    found = {row.pk: row for kind in _by_kind(credential, most) for row in kind}
    return list(found.values())


def _by_kind(credential: Credential, most: int) -> Iterator[Any]:
    for relation in credential._meta.related_objects:
        # What goes with the credential, as its token does, is a part of it and no user.
        if relation.on_delete is PROTECT:
            rows = relation.related_model._default_manager.filter(
                **{relation.field.name: credential.pk}
            )
            yield rows[:most]


def title_of(user: Any) -> str:
    """What uses a credential, as the audit trail calls it: a service by its name alone."""
    kind = "" if isinstance(user, Service) else f"{user._meta.verbose_name} "
    return f"{kind}{user}"
