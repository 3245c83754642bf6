"""How a check is as a whole: as the worst of its subjects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Case, IntegerField, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from monitoring.models import CheckState, CheckStatus, HealthCheck

WORST_FIRST = (
    CheckStatus.DOWN,
    CheckStatus.RECOVERING,
    CheckStatus.SUSPECT,
    CheckStatus.STALE,
    CheckStatus.UNKNOWN,
    CheckStatus.UP,
    CheckStatus.PAUSED,
)
_PLACES = {str(state): place for place, state in enumerate(WORST_FIRST)}


def worst_of(states: Iterable[CheckState]) -> CheckState | None:
    """Return the state that is worst, the one that began first among equals; None of none."""
    return min(states, key=lambda each: (_PLACES[each.state], each.since), default=None)


def state_of(check: HealthCheck) -> str:
    """Return the worst state of a check's subjects."""
    if not check.enabled:
        return str(CheckStatus.PAUSED)
    worst = worst_of(check.states.all())
    return worst.state if worst else str(CheckStatus.UNKNOWN)


def with_place(checks: QuerySet[HealthCheck]) -> QuerySet[Any]:
    """Return checks with their `badness` in `WORST_FIRST`, by which they can be ordered."""
    whens = [When(state=state, then=Value(place)) for state, place in _PLACES.items()]
    states = CheckState.objects.filter(health_check=OuterRef("pk"))
    worst = states.annotate(badness=Case(*whens, output_field=IntegerField())).order_by("badness")
    of_states = Coalesce(Subquery(worst.values("badness")[:1]), Value(_PLACES["UNKNOWN"]))
    paused = When(enabled=False, then=Value(_PLACES["PAUSED"]))
    return checks.annotate(badness=Case(paused, default=of_states, output_field=IntegerField()))


def in_state(checks: QuerySet[Any], state: str) -> QuerySet[Any]:
    """Return those of checks with a `badness` that are in a state as a whole."""
    return checks.filter(badness=_PLACES.get(state, -1))
