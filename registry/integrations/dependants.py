"""Finds the integrations that call what has a credential, and may not use it yet."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from django.db.models import Q, QuerySet

from core.references import title_of
from registry.credentials.dependants import Carrier, Dependant
from registry.integrations.grants import allow_integration, uses_of_integration
from registry.models import EXECUTABLE, Connection, Integration, TargetKind
from registry.policies.credential_grants import GrantState


def waiting_integrations(carrier: Carrier) -> Iterator[Dependant]:
    """Yield the integrations that lead to a service or connection and were not granted that."""
    for row in _integrations_of(carrier).order_by("name"):
        uses = [use for use in uses_of_integration(row) if use.carrier.pk == carrier.pk]
        if any(use.state != GrantState.GRANTED for use in uses):
            yield Dependant(title_of(row), partial(_allow, row))


def _allow(row: Integration, actor: str) -> None:
    allow_integration(row, actor=actor)


def _integrations_of(carrier: Carrier) -> QuerySet[Integration]:
    rows = Integration.objects.select_related("connection__credential")
    rows = rows.filter(status__in=EXECUTABLE)
    if isinstance(carrier, Connection):
        return rows.filter(connection=carrier)
    named = Q(target_kind=TargetKind.SERVICE) & (
        Q(target__iexact=carrier.name) | Q(target__iexact=str(carrier.pk))
    )
    return rows.filter(named | Q(target_kind=TargetKind.SERVICE_TYPE, target=carrier.type))
