"""What is wrong now, as the tables say: each source looks for one kind of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Max, Q, QuerySet

from monitoring.checks import trouble
from monitoring.models import AlertChannel, Severity, Subject
from monitoring.slos.status import find_burning
from registry.models import (
    CircuitBreakerState,
    CircuitState,
    Connection,
    ConnectionStatus,
    Credential,
    Criticality,
    DiscoveryState,
    Service,
    ServiceStatus,
)
from registry.policies.registering import Acceptance
from registry.services import Suspicion, read_suspicion, read_unreachable

# More services than that are one incident: nobody reads a thousand.
MOST_APART = 50
MOST_NAMED = 5
CREDENTIAL_WARNING = timedelta(days=7)
# Attempts in a row that failed, from which on a channel is taken for broken.
FAILURES_TO_TELL = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong. `key` tells it from others of its subject."""

    subject: Subject
    cause: str
    severity: Severity = Severity.CRITICAL
    about: str = ""
    key: str = ""
    service_id: UUID | None = None

    @property
    def dedup_key(self) -> str:
        return f"{self.subject}:{self.key}" if self.key else str(self.subject)


@dataclass(frozen=True, slots=True)
class Source:
    """A kind of trouble: `find` is given the time and the keys of what is unresolved of it.

    `sign` is a query in SQL without which nothing can be found: it may see too much. Without one,
    it is looked for each time.
    """

    subject: Subject
    find: Callable[[datetime, Collection[str]], Iterable[Finding]]
    ended: str
    sign: str = ""


def suspected(now: datetime, _: Collection[str]) -> Iterable[Finding]:
    suspicion = read_suspicion()
    if suspicion:
        yield Finding(Subject.MASS_EXPIRY, _on_suspicion(suspicion))


def _on_suspicion(suspicion: Suspicion) -> str:
    return (
        f"{suspicion.suspected} of {suspicion.live} live instances fell silent together. They are"
        " only suspected: used where there is no other, and not taken offline."
    )


def discovery_unreachable(now: datetime, _: Collection[str]) -> Iterable[Finding]:
    unreachable = read_unreachable()
    if unreachable:
        yield Finding(Subject.DISCOVERY_BACKEND, _on_unreachable(unreachable))


def _on_unreachable(state: DiscoveryState) -> str:
    return (
        f"{state.error.rstrip('.')}. Discovery answers what was known before, heartbeats go to the"
        " database, and nobody is taken offline."
    )


# --- Services ---


def services_down(now: datetime, unresolved: Collection[str]) -> Iterable[Finding]:
    """Find services of which every instance fell silent.

    One that signed off, or is under maintenance, is not down. While many are suspected together,
    that is the incident, and those that were taken offline with them are none of their own.
    """
    fallen = list(_fallen().filter(status=ServiceStatus.OFFLINE))
    if read_suspicion():
        fallen = [each for each in fallen if _key_of(Subject.SERVICE_DOWN, each) in unresolved]
    apart, together = _told_apart(fallen, Subject.SERVICE_DOWN, unresolved)
    for service in apart:
        yield _on_service(Subject.SERVICE_DOWN, Severity.CRITICAL, service, _on_silence(service))
    if together:
        yield Finding(Subject.SERVICE_DOWN, _on_many(together), about=f"{len(together)} services")


def services_degraded(now: datetime, unresolved: Collection[str]) -> Iterable[Finding]:
    """Find services that answer, but not as they should; not those that are only suspected."""
    rows = Service.objects.filter(status=ServiceStatus.DEGRADED)
    rows = rows.exclude(instances__suspected_at__isnull=False).prefetch_related("instances")
    troubled = list(rows.order_by("name"))
    apart, together = _told_apart(troubled, Subject.SERVICE_DEGRADED, unresolved)
    for service in apart:
        cause = _on_degradation(service)
        yield _on_service(Subject.SERVICE_DEGRADED, Severity.WARNING, service, cause)
    if together:
        yield Finding(
            Subject.SERVICE_DEGRADED,
            _on_many(together),
            Severity.WARNING,
            about=f"{len(together)} services",
        )


def _fallen() -> QuerySet[Service]:
    silent = Q(instances__expired_at__isnull=False)
    rows = (
        Service.objects.exclude(acceptance=Acceptance.REFUSED)
        .filter(silent)
        .annotate(silent_since=Max("instances__expired_at"))
    )
    return rows.order_by("name")


def _told_apart(
    services: Sequence[Service], subject: Subject, unresolved: Collection[str]
) -> tuple[list[Service], list[Service]]:
    """Split into those with incidents of their own, and those that share one."""
    if len(services) <= MOST_APART:
        return list(services), []
    apart = [each for each in services if _key_of(subject, each) in unresolved]
    known = {each.pk for each in apart}
    return apart, [each for each in services if each.pk not in known]


def _key_of(subject: Subject, service: Service) -> str:
    return f"{subject}:{service.pk}"


def _on_service(subject: Subject, severity: Severity, service: Service, cause: str) -> Finding:
    return Finding(subject, cause, severity, service.name, str(service.pk), service.pk)


def _on_silence(service: Service) -> str:
    since = service.silent_since  # type: ignore[attr-defined]
    return f"Every instance fell silent, the last at {since:%Y-%m-%d %H:%M:%S} UTC."


def _on_degradation(service: Service) -> str:
    instances = list(service.instances.all())
    gone = [each.url for each in instances if each.expired_at is not None]
    failing = [each for each in instances if each.unhealthy_since is not None]
    parts = []
    if gone:
        parts.append(f"{len(gone)} of {len(instances)} instances fell silent: {_named(gone)}.")
    parts += [
        f"{each.url} does not answer well: {each.probe_error or 'not often enough'}."
        for each in failing[:MOST_NAMED]
    ]
    return " ".join(parts) or "It says so itself, or was set DEGRADED."


def _on_many(services: Sequence[Service]) -> str:
    return f"{len(services):,} services: {_named([each.name for each in services])}."


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


# --- What services are reached with ---


def circuits_open(now: datetime, _: Collection[str]) -> Iterable[Finding]:
    """Find circuits that opened by themselves, until they close; not those of operators."""
    rows = CircuitBreakerState.objects.with_places().filter(
        state__in=(CircuitState.OPEN, CircuitState.HALF_OPEN)
    )
    for circuit in rows:
        service = circuit.instance.service if circuit.instance else None
        name = service.name if service else str(circuit.connection)
        place = f" of {circuit.instance.url}" if circuit.instance else ""
        yield Finding(
            Subject.CIRCUIT_OPEN,
            f"Calls{place} are refused: {circuit.cause or 'too many failed'}.",
            Severity.WARNING,
            about=name,
            key=str(circuit.pk),
            service_id=service.pk if service else None,
        )


def connections_failing(now: datetime, _: Collection[str]) -> Iterable[Finding]:
    """Find connections whose tests failed too often."""
    for row in Connection.objects.filter(status=ConnectionStatus.ERROR, disabled_at__isnull=True):
        severe = row.criticality == Criticality.CRITICAL
        yield Finding(
            Subject.CONNECTION_ERROR,
            row.last_error or "Its test fails.",
            Severity.CRITICAL if severe else Severity.WARNING,
            about=row.name,
            key=str(row.pk),
        )


def credentials_ending(now: datetime, _: Collection[str]) -> Iterable[Finding]:
    """Find credentials that ended, or do so within a week."""
    for row in Credential.objects.filter(expires_at__lte=now + CREDENTIAL_WARNING):
        assert row.expires_at is not None
        ended = row.expires_at <= now
        verb = "ended" if ended else "ends"
        yield Finding(
            Subject.CREDENTIAL_EXPIRY,
            f"It {verb} on {row.expires_at:%Y-%m-%d %H:%M} UTC: rotate it.",
            Severity.CRITICAL if ended else Severity.WARNING,
            about=row.name,
            key=str(row.pk),
        )


# --- Checks ---


def checks_failing(now: datetime, unresolved: Collection[str]) -> Iterable[Finding]:
    """Find checks that are down."""
    told = {UUID(key.rpartition(":")[2]) for key in unresolved if ":" in key}
    down = list(trouble.checks_down(told))
    apart = [each for each in down if len(down) <= MOST_APART or each.check.pk in told]
    yield from (_on_check(Subject.CHECK_FAILING, each) for each in apart)
    known = {each.check.pk for each in apart}
    together = [each.check.name for each in down if each.check.pk not in known]
    if together:
        cause = f"{len(together):,} checks: {_named(together)}."
        yield Finding(Subject.CHECK_FAILING, cause, about=f"{len(together)} checks")


def checks_flapping(now: datetime, _: Collection[str]) -> Iterable[Finding]:
    """Find checks that are up and down in turns."""
    yield from (_on_check(Subject.CHECK_FLAPPING, each) for each in trouble.checks_flapping())


def certificates_ending(now: datetime, _: Collection[str]) -> Iterable[Finding]:
    """Find certificates that ended, or do so soon."""
    for each in trouble.certificates_ending(now):
        yield _on_check(Subject.CERTIFICATE_EXPIRY, each)


def checks_blind(now: datetime, _: Collection[str]) -> Iterable[Finding]:
    """Find that the hub itself is cut off from what it checks."""
    if count := trouble.count_blind():
        yield Finding(
            Subject.CHECKS_BLIND,
            f"{count:,} check{'' if count == 1 else 's'} could not tell: the fault seems to be the"
            " network of the hub. Until it sees again, nothing is taken to be down.",
        )


def _on_check(subject: Subject, found: trouble.CheckTrouble) -> Finding:
    check = found.check
    severity = Severity.CRITICAL if found.is_severe else Severity.WARNING
    return Finding(subject, found.cause, severity, check.name, str(check.pk), check.service_id)


# --- The hub itself ---


def channels_failing(now: datetime, _: Collection[str]) -> Iterable[Finding]:
    """Find channels through which nobody is told any more."""
    rows = AlertChannel.objects.filter(enabled=True, failures__gte=FAILURES_TO_TELL)
    for row in rows:
        yield Finding(
            Subject.CHANNEL_FAILING,
            f"Messages do not arrive: {row.last_error}",
            about=row.name,
            key=str(row.pk),
        )


def budgets_burning(now: datetime, _: Collection[str]) -> Iterable[Finding]:
    """Find objectives whose budgets burn too fast, in a long window and still in a short one."""
    for each in find_burning(now):
        yield Finding(
            Subject.BUDGET_BURNING,
            each.words,
            Severity.CRITICAL if each.is_urgent else Severity.WARNING,
            about=each.slo.name,
            key=str(each.slo.pk),
            service_id=each.slo.service_id,
        )


sources = [
    Source(
        Subject.MASS_EXPIRY,
        suspected,
        "Nobody is suspected any more: all beat again, or are gone.",
        "SELECT 1 FROM service_instance WHERE suspected_at IS NOT NULL",
    ),
    Source(
        Subject.DISCOVERY_BACKEND,
        discovery_unreachable,
        "It answers again.",
        "SELECT 1 FROM discovery_state WHERE unreachable_since IS NOT NULL",
    ),
    Source(
        Subject.SERVICE_DOWN,
        services_down,
        "It is there again, or was taken away.",
        "SELECT 1 FROM service_instance WHERE expired_at IS NOT NULL",
    ),
    Source(
        Subject.SERVICE_DEGRADED,
        services_degraded,
        "It is well again, or is down.",
        "SELECT 1 FROM registered_service WHERE status = 'DEGRADED'",
    ),
    Source(
        Subject.CIRCUIT_OPEN,
        circuits_open,
        "Calls are let through again.",
        "SELECT 1 FROM circuit_breaker_state WHERE state IN ('OPEN', 'HALF_OPEN')",
    ),
    Source(
        Subject.CONNECTION_ERROR,
        connections_failing,
        "It answers again, or was switched off.",
        "SELECT 1 FROM connection WHERE status = 'ERROR'",
    ),
    Source(
        Subject.CREDENTIAL_EXPIRY,
        credentials_ending,
        "It was rotated, or is gone.",
        "SELECT 1 FROM credential WHERE expires_at IS NOT NULL",
    ),
    Source(
        Subject.CHECK_FAILING,
        checks_failing,
        "It is up again, or is not checked any more.",
        "SELECT 1 FROM check_state WHERE down_since IS NOT NULL",
    ),
    Source(
        Subject.CHECK_FLAPPING,
        checks_flapping,
        "It keeps its state again.",
        "SELECT 1 FROM check_state WHERE flapping",
    ),
    Source(
        Subject.CERTIFICATE_EXPIRY,
        certificates_ending,
        "It was renewed, or is gone.",
        "SELECT 1 FROM check_state WHERE certificate_expires_at IS NOT NULL",
    ),
    Source(
        Subject.CHECKS_BLIND,
        checks_blind,
        "It sees again.",
        "SELECT 1 FROM check_state WHERE outcome = 'INCONCLUSIVE'",
    ),
    Source(
        Subject.BUDGET_BURNING,
        budgets_burning,
        "It burns slowly enough again.",
        "SELECT 1 FROM slo WHERE enabled",
    ),
    Source(
        Subject.CHANNEL_FAILING,
        channels_failing,
        "A message arrived, or it was switched off.",
        "SELECT 1 FROM alert_channel WHERE failures > 0",
    ),
]


def add_source(source: Source) -> None:
    """Watch what another app knows of, too; a source of the same subject is replaced."""
    sources[:] = [each for each in sources if each.subject != source.subject] + [source]
