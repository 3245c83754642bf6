"""Health URLs are asked now and then, and believed after several answers in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

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


@dataclass(frozen=True, slots=True)
class Answer:
    """What the health URL of an instance answered; `error` says why not well, empty if it was."""

    instance_id: UUID
    error: str = ""


def is_asked(instance: ServiceInstance, *, alive_only: bool) -> bool:
    """Return whether an instance is looked at: not what said goodbye.

    With `alive_only`, only what lives, is under maintenance, or may come back by an answer.
    """
    if instance.status in PROBED:
        return True
    if _said_goodbye(instance):
        return False
    return not alive_only or instance.lives_by is not Liveness.HEARTBEAT


def record_answers(answers: Sequence[Answer], *, plan: ProbePlan, now: datetime) -> None:
    """Count answers of health URLs of one plan; at its threshold an instance becomes DEGRADED, or
    ONLINE again.

    A good one keeps alive what lives by its health URL. Those that change no status are stored
    together.
    """
    by_instance = {each.instance_id: each for each in answers}
    turning: list[ServiceInstance] = []
    with transaction.atomic():
        rows = ServiceInstance.objects.select_for_update(of=("self",)).select_related("service")
        calm: list[ServiceInstance] = []
        for row in rows.filter(pk__in=by_instance).order_by("pk"):
            was = (row.status, row.suspect, row.unhealthy_since is None)
            _take_answer(row, by_instance[row.pk].error, plan=plan, now=now)
            is_calm = (row.status, row.suspect, row.unhealthy_since is None) == was
            (calm if is_calm else turning).append(row)
        ServiceInstance.objects.bulk_update(calm, ANSWER_FIELDS, batch_size=100)
    for row in turning:
        _record_turn(row.pk, by_instance[row.pk].error, plan=plan, now=now)


def _record_turn(pk: UUID, error: str, *, plan: ProbePlan, now: datetime) -> None:
    """Store an answer that changes a status; the service is locked before its instance."""
    with transaction.atomic():
        of = Service.objects.filter(instances=pk)
        service = of.select_for_update(of=("self",)).first()
        row = ServiceInstance.objects.select_for_update().filter(pk=pk).first()
        if service is None or row is None:
            return
        row.service = service
        was = (row.status, row.suspect)
        _take_answer(row, error, plan=plan, now=now)
        if (row.status, row.suspect) == was:
            row.save(update_fields=ANSWER_FIELDS)
            return
        get_discovery().release([row.pk])
        row.save(update_fields=(*ANSWER_FIELDS, "status", "expired_at", "suspected_at"))
        log_instance_change(service)


def _take_answer(row: ServiceInstance, error: str, *, plan: ProbePlan, now: datetime) -> None:
    before = streak_of(row)
    after = count_answer(before, healthy=not error, plan=plan)
    row.probe_failures, row.probe_successes = after.failures, after.successes
    row.probe_error = error[:300]
    if after.healthy != before.healthy:
        row.unhealthy_since = None if after.healthy else now
        row.status = _status_after(row.status, healthy=after.healthy)
    if not error:
        _note_answer(row, after, plan=plan, now=now)


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
