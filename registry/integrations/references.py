"""Integrations that name a service: kept by its renames, told to whoever would delete it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models.functions import Lower

from core.references import MOST_NAMED, title_of
from registry.models import Integration, Service, TargetKind


def users_of(row: Any) -> Iterator[str]:
    """Yield the titles of the integrations that name a service."""
    if isinstance(row, Service):
        aimed = Integration.objects.filter(target_kind=TargetKind.SERVICE)
        lowered = aimed.annotate(lowered=Lower("target"))
        users = lowered.filter(lowered__in=(str(row.pk), row.name.lower()))
        yield from map(title_of, users[: MOST_NAMED + 1])


def follow_rename(row: Any, before: str, **_: Any) -> None:
    """Let integrations go on naming a service that has another name now."""
    if isinstance(row, Service):
        aimed = Integration.objects.filter(target_kind=TargetKind.SERVICE, target__iexact=before)
        aimed.update(target=row.name)
