"""Keeps the rows that checks are carried out by: a check for the health URLs of each service, and a
state for each subject of each check."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q

from core.db.signs import RowSigns
from monitoring.checks import decide
from monitoring.checks.reading import plan_of
from monitoring.models import CheckKind, CheckState, CheckStatus, HealthCheck
from registry.models import Service, ServiceInstance

MOST_MADE = 500
_SIGNS = RowSigns(
    checks=(
        "SELECT 1 FROM service_instance i WHERE i.health_url <> '' AND NOT EXISTS (SELECT 1 FROM"
        " health_check c WHERE c.service_id = i.service_id AND c.is_automatic)"
    ),
    states=(
        "SELECT 1 FROM service_instance i JOIN health_check c ON c.service_id = i.service_id"
        " WHERE c.enabled AND NOT (c.is_automatic AND i.health_url = '') AND NOT EXISTS (SELECT 1"
        " FROM check_state s WHERE s.instance_id = i.id AND s.health_check_id = c.id)"
    ),
)


def keep_subjects(*, now: datetime) -> None:
    """Make what is missing, and take away what nobody looks at any more."""
    seen = _SIGNS.seen()
    if "checks" in seen:
        make_automatic_checks()
    if seen:
        make_states(now=now)


def make_automatic_checks() -> int:
    """Make a check for each service with a health URL that has none; return how many."""
    services = Service.objects.filter(
        Exists(ServiceInstance.objects.filter(service=OuterRef("pk")).exclude(health_url=""))
    ).exclude(Exists(HealthCheck.objects.filter(service=OuterRef("pk"), is_automatic=True)))
    if not settings.PROBE_INTERVAL_SECONDS:
        services = services.filter(probing__has_key="interval_seconds")
    made = [
        HealthCheck(
            name=f"{service.name[:85]} health",
            kind=CheckKind.HTTP,
            service=service,
            is_automatic=True,
        )
        for service in services[:MOST_MADE]
    ]
    taken = {name.lower() for name in _taken([check.name for check in made])}
    for check in made:
        if check.name.lower() in taken:
            check.name = f"{check.name} {str(check.pk)[:8]}"
    HealthCheck.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)


def _taken(names: list[str]) -> list[str]:
    return list(HealthCheck.objects.filter(name__in=names).values_list("name", flat=True))


def make_states(*, now: datetime) -> int:
    """Make a state for each subject that has none; return how many."""
    checked = Q(service__checks__enabled=True)
    known = CheckState.objects.filter(instance=OuterRef("pk"), health_check=OuterRef("check_id"))
    instances = (
        ServiceInstance.objects.filter(checked)
        .annotate(check_id=F("service__checks"), is_automatic=F("service__checks__is_automatic"))
        .exclude(is_automatic=True, health_url="")
        .exclude(Exists(known))
        .values_list("pk", "check_id")[:MOST_MADE]
    )
    pairs = list(instances)
    checks = HealthCheck.objects.select_related("service").in_bulk({check for _, check in pairs})
    states = [
        first_state(checks[check], instance, now=now)
        for instance, check in pairs
        if check in checks
    ]
    CheckState.objects.bulk_create(states, ignore_conflicts=True)
    return len(states)


def first_state(check: HealthCheck, instance_id: UUID | None, *, now: datetime) -> CheckState:
    """Return the state of a subject that nobody looked at yet; the first look is due at once.

    A job has to call before anything is due.

    Of many that are made together, they are spread over an interval of at most ten seconds.
    """
    state = CheckState(health_check=check, instance_id=instance_id, since=now)
    if check.kind == CheckKind.PUSH:
        state.state = CheckStatus.UNKNOWN if check.enabled else CheckStatus.PAUSED
        return state
    seconds = min(plan_of(check).interval_seconds, 10)
    state.next_due_at = decide.next_slot(str(state.pk), after=now, interval_seconds=seconds)
    return state
