"""Health URLs are asked now and then, and believed after several answers in a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from registry.calls.blocking_client import probe_urls
from registry.calls.health_probe import Probe
from registry.discovery.base import get_discovery
from registry.models import ALIVE, Service, ServiceInstance, ServiceStatus
from registry.policies.liveness import Liveness, seconds_of_answer
from registry.policies.probing import ProbePlan, Streak, count_answer, describe_streak, plan_of
from registry.services.status import log_instance_change

PROBED = (*ALIVE, ServiceStatus.MAINTENANCE)
ANSWER_FIELDS = (
    "probe_failures", "probe_successes", "probe_error", "unhealthy_since", "last_answer_at",
    "answered_until", "expires_at",
)  # fmt: skip
Prober = Callable[[Sequence[str]], Sequence[Probe]]


def default_plan() -> ProbePlan:
    """Return the plan of health probes where the service says nothing else."""
    return ProbePlan(
        failure_threshold=settings.PROBE_FAILURE_THRESHOLD,
        success_threshold=settings.PROBE_SUCCESS_THRESHOLD,
        interval_seconds=settings.PROBE_INTERVAL_SECONDS,
    )


def streak_of(instance: ServiceInstance) -> Streak:
    return Streak(
        instance.probe_failures, instance.probe_successes, instance.unhealthy_since is None
    )


def describe_probing(instance: ServiceInstance, service: Service) -> str:
    """Say how near the health URL of an instance is to changing its status; empty if it is not."""
    plan = plan_of(service.probing, default=default_plan())
    return describe_streak(streak_of(instance), plan=plan)


def health_url_of(instance: ServiceInstance) -> str:
    """Return where an instance says how it is; `/health` below its URL when it did not say."""
    return instance.health_url or f"{instance.url.rstrip('/')}/health"


def probe_due(*, now: datetime, limit: int = 200, prober: Prober = probe_urls) -> int:
    """Ask at most `limit` health URLs whose turn it is; return how many were asked.

    Only instances that gave a health URL are asked: those that live, are under maintenance, or fell
    silent and may come back by an answer. Nothing is held meanwhile.
    """
    claimed = [instance for instance in _waiting(now)[:limit] if _claim(instance, now)]
    if claimed:
        answers = prober([instance.health_url for instance in claimed])
        for instance, answer in zip(claimed, answers, strict=True):
            record_probe(instance, answer, now=now)
    return len(claimed)


def _waiting(now: datetime) -> QuerySet[ServiceInstance]:
    due = Q(next_probe_at__isnull=True) | Q(next_probe_at__lte=now)
    may_come_back = Q(status=ServiceStatus.OFFLINE, expired_at__isnull=False) & (
        Q(service__liveness__in=(Liveness.PROBE, Liveness.EITHER))
        | Q(service__liveness=Liveness.AUTO, has_beaten=False)
    )
    asked = Q(status__in=PROBED) | may_come_back
    rows = ServiceInstance.objects.filter(due, asked).exclude(health_url="")
    if not settings.PROBE_INTERVAL_SECONDS:
        rows = rows.filter(service__probing__has_key="interval_seconds")
    return rows.select_related("service").order_by("next_probe_at")


def _claim(instance: ServiceInstance, now: datetime) -> bool:
    """Claim it conditionally, so that of two sweeps one asks."""
    plan = plan_of(instance.service.probing, default=default_plan())
    row = ServiceInstance.objects.filter(pk=instance.pk, next_probe_at=instance.next_probe_at)
    return row.update(next_probe_at=now + timedelta(seconds=plan.interval_seconds)) == 1


def record_probe(instance: ServiceInstance, answer: Probe, *, now: datetime) -> None:
    """Count an answer; at the threshold the instance becomes DEGRADED, or ONLINE again.

    A good one keeps alive what lives by its health URL.
    """
    with transaction.atomic():
        service = Service.objects.select_for_update().filter(pk=instance.service_id).first()
        row = ServiceInstance.objects.select_for_update().filter(pk=instance.pk).first()
        if service is None or row is None:
            return
        row.service = service
        plan = plan_of(service.probing, default=default_plan())
        before, was = streak_of(row), (row.status, row.suspect)
        after = count_answer(before, healthy=answer.healthy, plan=plan)
        row.probe_failures, row.probe_successes = after.failures, after.successes
        row.probe_error = "" if answer.healthy else answer.error[:300]
        if after.healthy != before.healthy:
            row.unhealthy_since = None if after.healthy else now
            row.status = _status_after(row.status, healthy=after.healthy)
        if answer.healthy:
            _note_answer(row, after, plan=plan, now=now)
        if (row.status, row.suspect) == was:
            row.save(update_fields=ANSWER_FIELDS)
            return
        get_discovery().release([row.pk])
        row.save(update_fields=(*ANSWER_FIELDS, "status", "expired_at", "suspected_at"))
        log_instance_change(service)


def _note_answer(row: ServiceInstance, streak: Streak, *, plan: ProbePlan, now: datetime) -> None:
    """Take a good answer for a sign of life, if the instance lives by it."""
    seconds = seconds_of_answer(plan, ttl_seconds=row.ttl_seconds)
    row.last_answer_at, row.answered_until = now, now + timedelta(seconds=seconds)
    if row.lives_by is Liveness.HEARTBEAT or _said_goodbye(row):
        return
    row.expires_at = max(row.expires_at or now, row.answered_until)
    row.suspected_at = None
    is_believed = streak.healthy and streak.successes >= plan.success_threshold
    if is_believed and row.status in (ServiceStatus.OFFLINE, ServiceStatus.UNKNOWN):
        row.status, row.expired_at = ServiceStatus.ONLINE, None


def _said_goodbye(row: ServiceInstance) -> bool:
    return row.status == ServiceStatus.OFFLINE and row.expired_at is None


def _status_after(status: str, *, healthy: bool) -> str:
    """Turn ONLINE and DEGRADED over: probes say whether it is well, beats whether it is there."""
    turned = {
        False: {ServiceStatus.ONLINE: ServiceStatus.DEGRADED},
        True: {ServiceStatus.DEGRADED: ServiceStatus.ONLINE},
    }
    return str(turned[healthy].get(ServiceStatus(status), status))
