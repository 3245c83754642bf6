"""The health of the hub itself and of what it knows."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count

from registry.models import CircuitBreakerState, Service, ServiceStatus

# Names are answered up to here; beyond, only the counts.
SHOWN_SERVICES = 500


@dataclass(frozen=True)
class Check:
    """One thing that the hub needs, and what is wrong with it."""

    name: str
    ok: bool
    detail: str = ""


_migrated = False


def check_readiness() -> list[Check]:
    """Ask everything that the hub needs."""
    asked = {
        "database": _check_database,
        "migrations": _check_migrations,
        "broker": _check_broker,
        "cache": _check_cache,
    }
    return [_run_check(name, ask) for name, ask in asked.items()]


def _run_check(name: str, ask: Callable[[], str]) -> Check:
    try:
        detail = ask()
    except Exception as error:
        sentence = (str(error) or type(error).__name__).splitlines()[0]
        return Check(name, ok=False, detail=sentence[:300])
    return Check(name, ok=not detail, detail=detail)


def _check_database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return ""


def _check_migrations() -> str:
    """Looked at until they are all applied: they do not become undone while a process runs."""
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if plan:
            return f"{len(plan)} migrations are not applied. Run: manage.py migrate"
        _migrated = True
    return ""


def _check_broker() -> str:
    if settings.REDIS_URL:
        from redis import Redis

        with Redis.from_url(
            settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2
        ) as broker:
            broker.ping()
        return ""
    folder = settings.BROKER_DIR / "messages"
    return "" if os.access(folder, os.W_OK) else f"The folder {folder} cannot be written to."


def _check_cache() -> str:
    cache.set("health", "well", 10)
    return "" if cache.get("health") == "well" else "The cache does not keep what it is given."


def describe_services() -> dict[str, Any]:
    """The services by status: how many, and each by name while there are not too many."""
    counts = dict(Service.objects.values_list("status").annotate(Count("id")).order_by())
    shown = Service.objects.order_by("name").values_list("name", "status")[:SHOWN_SERVICES]
    return {
        "service_statuses": dict(shown),
        "service_counts": {status: counts.get(status, 0) for status in ServiceStatus.values},
    }


def describe_circuits() -> dict[str, str]:
    """The state of each circuit breaker by what it guards, those that refuse calls first."""
    rows = CircuitBreakerState.objects.with_places().troubled_first()
    return {str(circuit): circuit.state for circuit in rows[:SHOWN_SERVICES]}


def overall_status(counts: Mapping[str, int], *, has_worker: bool) -> str:
    """OFFLINE without a worker; DEGRADED while any service is; else ONLINE."""
    if not has_worker:
        return ServiceStatus.OFFLINE.value
    trouble = counts.get(ServiceStatus.OFFLINE, 0) + counts.get(ServiceStatus.DEGRADED, 0)
    return (ServiceStatus.DEGRADED if trouble else ServiceStatus.ONLINE).value
