"""Makes looks of claimed states: reads the checks, services and instances that they are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from yarl import URL

from core.cache import BoundedCache
from core.timetables import read_timetable
from monitoring.checks import decide, jobs
from monitoring.checks.looks import CheckSpec, Look
from monitoring.checks.store import facts_of, put_off
from monitoring.checks.upkeep import covers, occurrences_between
from monitoring.models import CheckKind, HealthCheck, MaintenanceWindow
from registry.models import ServiceInstance
from registry.services.probes import is_asked

PLANNED = ("interval_seconds", "retry_seconds", "failure_threshold", "success_threshold")
MOST_SPECS = 20_000
_specs: BoundedCache[UUID, tuple[Any, CheckSpec]] = BoundedCache(MOST_SPECS)


def default_numbers() -> dict[str, int]:
    """Return the numbers of checks where nobody says otherwise."""
    return {
        "interval_seconds": settings.PROBE_INTERVAL_SECONDS or 30,
        "failure_threshold": settings.PROBE_FAILURE_THRESHOLD,
        "success_threshold": settings.PROBE_SUCCESS_THRESHOLD,
    }


def plan_of(check: HealthCheck) -> decide.CheckPlan:
    """Return the plan by which a check is carried out."""
    return decide.plan_of(
        {name: getattr(check, name) for name in PLANNED},
        service=check.service.probing if check.service else {},
        default=default_numbers(),
        timeout_seconds=check.timeout_seconds,
    )


def spec_of(check: HealthCheck) -> CheckSpec:
    """Return a check as it is carried out."""
    return CheckSpec(
        id=check.pk,
        name=check.name,
        kind=check.kind,
        url=check.url,
        is_automatic=check.is_automatic,
        service_id=check.service_id,
        plan=plan_of(check),
        request=check.request,
        conditions=check.conditions,
        job=job_of(check),
    )


def job_of(check: HealthCheck) -> jobs.JobPlan | None:
    """Return when a job is to call; None for a check of another kind."""
    if check.kind != CheckKind.PUSH:
        return None
    period = check.interval_seconds
    return jobs.JobPlan(
        grace=timedelta(seconds=check.grace_seconds),
        period=timedelta(seconds=period) if period else None,
        timetable=read_timetable(check.cron, check.timezone) if check.cron else None,
    )


def spec_by_id(key: UUID) -> CheckSpec | None:
    """Return a check as it is carried out; None if it is gone."""
    return _read_specs([key]).get(key)


AN_INSTANT = timedelta(microseconds=1)


def looks_of(claimed: Sequence[Mapping[str, Any]], *, now: datetime) -> list[Look]:
    """Return the looks of claimed states; what is not looked at now is put off."""
    specs = _read_specs({row["health_check_id"] for row in claimed})
    instances = _read_instances({row["instance_id"] for row in claimed if row["instance_id"]})
    windows = [each.window for each in occurrences_between(now, now + AN_INSTANT)]
    looks, idle = [], []
    for row in claimed:
        spec = specs.get(row["health_check_id"])
        look = _look_of(row, spec, instances, windows, now=now) if spec else None
        if look:
            looks.append(look)
        else:
            idle.append((row["id"], row["fence"], _later(row, spec, now=now)))
    put_off(idle)
    return looks


def _later(row: Mapping[str, Any], spec: CheckSpec | None, *, now: datetime) -> datetime:
    if spec is not None and spec.job is not None:
        return now + spec.job.grace
    seconds = spec.plan.interval_seconds if spec else 60
    return decide.next_slot(str(row["id"]), after=now, interval_seconds=seconds)


def _look_of(
    row: Mapping[str, Any],
    spec: CheckSpec,
    instances: Mapping[UUID, ServiceInstance],
    windows: Sequence[MaintenanceWindow],
    *,
    now: datetime,
) -> Look | None:
    key = row["instance_id"]
    url, missed = spec.url, ""
    in_maintenance = any(window.everything for window in windows)
    if spec.job is not None:
        if now - row["next_due_at"] > jobs.HUB_AWAY:
            return None
        missed = "it began and did not end" if row["started_at"] else "it did not call"
        missed = f"{missed} in time"
    if key:
        instance = instances.get(key)
        if instance is None or not is_asked(instance, alive_only=spec.is_automatic):
            return None
        url = url_at(instance, spec)
        in_maintenance = instance.usable_status == "MAINTENANCE" or any(
            covers(window, instance.service) for window in windows
        )
        missed = silence_of(instance, spec, at=row["next_due_at"])
    return Look(
        spec=spec,
        state_id=row["id"],
        fence=row["fence"],
        instance_id=key,
        url=url,
        host=host_of(url),
        due=row["next_due_at"],
        facts=facts_of(dict(row)),
        in_maintenance=in_maintenance,
        missed=missed,
        started_at=row["started_at"],
    )


def silence_of(instance: ServiceInstance, spec: CheckSpec, *, at: datetime) -> str:
    """Return that an instance whose heartbeats are looked at sent none; empty otherwise."""
    beaten, seconds = instance.last_heartbeat_at, instance.ttl_seconds
    if spec.kind != CheckKind.HEARTBEAT:
        return ""
    if beaten is not None and at - beaten <= timedelta(seconds=seconds):
        return ""
    return f"no heartbeat for {seconds} s"


def url_at(instance: ServiceInstance, spec: CheckSpec) -> str:
    """Return what is asked of an instance: its health URL, or the check's path below its URL."""
    if spec.kind != CheckKind.HTTP:
        return instance.url
    path = spec.request.get("path")
    if path:
        return f"{instance.url.rstrip('/')}/{str(path).lstrip('/')}"
    return instance.health_url or f"{instance.url.rstrip('/')}/health"


def host_of(url: str) -> str:
    """Return the host that a URL leads to; the text itself where it is none."""
    try:
        return URL(url).raw_host or url
    except ValueError:
        return url


def _read_specs(keys: Iterable[UUID]) -> dict[UUID, CheckSpec]:
    """Return the checks of these ids; those that did not change since are at hand."""
    defaults = default_numbers()
    rows = HealthCheck.objects.filter(pk__in=keys)
    versions = {
        key: (*version, *defaults.values())
        for key, *version in rows.values_list("pk", "updated_at", "service__updated_at")
    }
    known = {key: _specs.get(key) for key in versions}
    specs = {key: was[1] for key, was in known.items() if was and was[0] == versions[key]}
    missing = [key for key in versions if key not in specs]
    for check in rows.filter(pk__in=missing).select_related("service") if missing else ():
        specs[check.pk] = spec_of(check)
        _specs[check.pk] = (versions[check.pk], specs[check.pk])
    return specs


def _read_instances(keys: Iterable[UUID]) -> dict[UUID, ServiceInstance]:
    rows = ServiceInstance.objects.filter(pk__in=keys).select_related("service")
    return {row.pk: row for row in rows}
