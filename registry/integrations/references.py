"""Which integrations name a service as their target, found before it goes and renamed with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models.functions import Lower

from core.references import MAX_NAMED_USERS, title_of
from registry.models import Integration, Service, TargetKind


def users_of(row: Any) -> Iterator[str]:
    """Yield the titles of integrations that name a service, by its id or name."""
    if isinstance(row, Service):
        targeting = Integration.objects.filter(target_kind=TargetKind.SERVICE)
        lowered = targeting.annotate(lowered=Lower("target"))
        users = lowered.filter(lowered__in=(str(row.pk), row.name.lower()))
        yield from map(title_of, users[: MAX_NAMED_USERS + 1])


def follow_rename(row: Any, before: str, **_: Any) -> None:
    """Let integrations go on naming a service that has another name now."""
    if isinstance(row, Service):
        targeting = Integration.objects.filter(target_kind=TargetKind.SERVICE)
        targeting.filter(target__iexact=before).update(target=row.name)
