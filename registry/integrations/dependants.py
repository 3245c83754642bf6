"""Finds the integrations that call what has a credential."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from django.db.models import Q, QuerySet

from core.references import title_of
from registry.credentials.dependants import Carrier, Dependant
from registry.integrations.grants import allow_integration, line_of, use_through
from registry.models import EXECUTABLE, Connection, Integration, TargetKind
from registry.policies.credential_grants import GrantState


def dependent_integrations(row: Carrier | Integration) -> Iterator[Dependant]:
    """Yield the integrations that lead to the credential of a service or connection."""
    if isinstance(row, Integration):
        return
    for each in integrations_of(row).order_by("name"):
        use = use_through(each, row)
        yield Dependant(
            row=each,
            title=title_of(each),
            lines=[line_of(each, use)],
            is_waiting=use.state != GrantState.GRANTED,
            grant=partial(_allow, each),
        )


def _allow(row: Integration, actor: str) -> None:
    allow_integration(row, actor=actor)


def integrations_of(carrier: Carrier) -> QuerySet[Integration]:
    """Return the integrations that call a service or connection, or what any of its type has."""
    rows = Integration.objects.select_related("connection__credential")
    rows = rows.filter(status__in=EXECUTABLE)
    if isinstance(carrier, Connection):
        return rows.filter(connection=carrier)
    named = Q(target_kind=TargetKind.SERVICE) & (
        Q(target__iexact=carrier.name) | Q(target__iexact=str(carrier.pk))
    )
    of_type = Q(target_kind=TargetKind.SERVICE_TYPE, target=carrier.type)
    # An action by name is asked of those that have it; a method and a path, of any.
    has_it = Q(action__in=carrier.actions.values("name")) | Q(action__contains="/")
    return rows.filter(named | (of_type & has_it))
