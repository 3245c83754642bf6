"""Finds instances by the ids that services gave themselves where they came from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from core.exceptions import Conflict
from core.identifiers import read_id
from registry.models import ServiceAlias, ServiceInstance
from registry.models.alias import LONGEST_ALIAS

# Of one instance: who takes a new id with each start would have ever more.
MOST_ALIASES = 1000


@dataclass(frozen=True, slots=True)
class AliasedInstance:
    """The instance that has an alias, or an id, and the service that it is of."""

    service_id: UUID
    service_name: str
    instance_id: UUID
    owner: str


def find_aliased(reference: str, *, or_id: bool = False) -> AliasedInstance | None:
    """Return the instance of that alias, or of that id where it may be one; None without one."""
    instance = _first(ServiceInstance.objects.filter(aliases__alias=_stored(reference)))
    key = read_id(reference) if or_id else None
    if instance is None and key is not None:
        return _first(ServiceInstance.objects.filter(pk=key))
    return instance


def _first(rows: QuerySet[ServiceInstance]) -> AliasedInstance | None:
    row = rows.values_list("service_id", "service__name", "pk", "service__owner").first()
    return None if row is None else AliasedInstance(*row)


def keep_alias(alias: str, instance_id: UUID) -> None:
    """Let an instance be known by an alias, which no other has from then on."""
    text = _stored(alias)
    with transaction.atomic():
        _, is_new = ServiceAlias.objects.update_or_create(
            alias=text, defaults={"instance_id": instance_id}
        )
        if is_new:
            rows = ServiceAlias.objects.filter(instance_id=instance_id)
            kept = rows.order_by("-updated_at", "-pk").values_list("pk", flat=True)
            rows.exclude(pk__in=list(kept[:MOST_ALIASES])).delete()


def refuse_taken(alias: str, owner: str, *, actor: str, only_own: bool) -> None:
    """Refuse an alias of a service of another owner. Raises: Conflict."""
    if only_own and owner != actor:
        raise Conflict(f"The id '{alias}' is that of a service of another owner. Use another one.")


def aliases_of(instance_ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the aliases of instances, the latest of each; those without one are not in it."""
    rows = ServiceAlias.objects.filter(instance_id__in=instance_ids).order_by("updated_at", "pk")
    return dict(rows.values_list("instance_id", "alias"))


def _stored(text: str) -> str:
    return text.strip().replace("\x00", "\ufffd")[:LONGEST_ALIAS]
