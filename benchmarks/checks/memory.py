"""What pages and sweeps read beside millions of results, in a throw-away PostgreSQL.

A hundred services have been checked for a week and remembered for 400 days; the results are spread
over them evenly. Pages are asked for through the whole of Django, in this process: their time is
that of the server without its network. What is kept of a status page is thrown away before each.
"""

from __future__ import annotations

import statistics
import time
from argparse import Namespace
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from benchmarks.checks.ground import throw_away_database
from benchmarks.testbed.fleet import fill_services
from benchmarks.testbed.printing import say

SERVICES = 100
ROUNDS = 7
MOST_MS = 100
OLD_SHARE = 0.01  # of the results are older than a week, for the sweep that drops them
BATCH = 1_000_000
# A time-ordered id, as `core.db.uuid7` makes it.
_ID = """(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000'
          || '8' || lpad(to_hex(n), 15, '0'))::uuid"""
_RESULTS = f"""
    INSERT INTO health_check_result (id, health_check_id, instance_id, checked_at, outcome,
        latency_ms, status_code, error_kind, error, signal, message, in_maintenance, late_ms,
        location)
    SELECT {_ID}, c.id, c.instance_id, at,
        CASE WHEN n %% 500 = 0 THEN 'FAIL' ELSE 'OK' END, 5 + n %% 200, 200, '', '', '', '', false,
        n %% 30, ''
    FROM (SELECT n, %(since)s::timestamptz + n * %(apart)s::interval AS at
          FROM generate_series(%(first)s::bigint, %(last)s::bigint) n) numbered
    JOIN (SELECT h.id, i.id AS instance_id, row_number() OVER (ORDER BY h.id) - 1 AS place
          FROM health_check h JOIN service_instance i ON i.service_id = h.service_id) c
      ON c.place = n %% %(checks)s"""  # noqa: S608
_ROLLUPS = """
    INSERT INTO uptime_rollup (id, created_at, updated_at, service_id, period, starts_at, up_ms,
        down_ms, maintenance_up_ms, maintenance_down_ms, unknown_ms, latencies)
    SELECT gen_random_uuid(), now(), now(), s.id, %(period)s, at, %(ms)s - 60000, 60000, 0, 0, 0,
        '[]'
    FROM registered_service s,
        generate_series(date_trunc('day', now()) - interval '400 days',
            date_trunc(%(unit)s, now()) - %(step)s::interval, %(step)s::interval) at"""
_SPANS = """
    INSERT INTO status_span (id, created_at, updated_at, service_id, status, version, started_at,
        ended_at)
    SELECT gen_random_uuid(), now(), now(), s.id, CASE WHEN n % 2 = 0 THEN 'ONLINE' ELSE 'OFFLINE'
        END, '1.4.2', day + CASE WHEN n % 2 = 0 THEN interval '0' ELSE interval '23:59' END,
        CASE WHEN day = date_trunc('day', now()) THEN NULL
             WHEN n % 2 = 0 THEN day + interval '23:59' ELSE day + interval '1 day' END
    FROM registered_service s,
        generate_series(date_trunc('day', now()) - interval '400 days', date_trunc('day', now()),
            interval '1 day') day, generate_series(0, 1) n
    WHERE NOT (n = 1 AND day = date_trunc('day', now()))"""
_INCIDENTS = """
    INSERT INTO incident (id, created_at, updated_at, subject, about, dedup_key, service_id,
        severity, status, cause, opened_at, acknowledged_by, resolved_at, resolved_by, resolution)
    SELECT gen_random_uuid(), day, day, 'SERVICE_DOWN', s.name, 'SERVICE_DOWN:' || s.id, s.id,
        'CRITICAL', 'RESOLVED', 'Every instance fell silent.', day, '', day + interval '60 s', '',
        'It is there again.'
    FROM registered_service s,
        generate_series(now() - interval '400 days', now() - interval '1 day', interval '10 days')
        day"""


def measure_memory(options: Namespace) -> None:
    with throw_away_database("memory"):
        began = time.monotonic()
        fill(options.results)
        seconds = time.monotonic() - began
        say(f"{options.results:,} results of {SERVICES} services, filled in {seconds:.0f} s:")
        say("| | median ms | CPU ms | queries | |")
        say("|---|---:|---:|---:|---|")
        for name, ask in questions().items():
            print_line(name, ask)


def fill(results: int) -> None:
    """Put a week of results in, and 400 days of what is remembered of them."""
    from django.db import connection
    from django.utils import timezone

    from monitoring.checks.subjects import keep_subjects
    from monitoring.models import MemoryState, StatusPage
    from registry.models import Service, ServiceInstance

    fill_services([f"service-{number:03}" for number in range(SERVICES)])
    now = timezone.now()
    Service.objects.update(created_at=now - timedelta(days=400))
    ServiceInstance.objects.update(health_url="http://127.0.0.1:9/health")
    keep_subjects(now=now)
    week = timedelta(days=7)
    since = now - week - week * OLD_SHARE
    apart = (now - since) / results
    with connection.cursor() as cursor:
        for first in range(0, results, BATCH):
            last = min(first + BATCH, results) - 1
            params: dict[str, Any] = {"since": since, "apart": apart, "checks": SERVICES}
            cursor.execute(_RESULTS, {**params, "first": first, "last": last})
        for period, unit, ms in (("HOUR", "hour", 3_600_000), ("DAY", "day", 86_400_000)):
            step = f"1 {unit}"
            cursor.execute(_ROLLUPS, {"period": period, "unit": unit, "ms": ms, "step": step})
        cursor.execute(_SPANS)
        cursor.execute(_INCIDENTS)
        hour = now.replace(minute=0, second=0, microsecond=0)
        MemoryState.objects.update_or_create(pk=1, defaults={"summed_until": hour})
        parts = [{"service": str(key)} for key in Service.objects.values_list("pk", flat=True)]
        StatusPage.objects.create(name="all", visibility="PUBLIC", components=parts)
        cursor.execute("VACUUM ANALYZE")


def questions() -> dict[str, Callable[[], object]]:
    """Return what is asked: pages as their bytes, and sweeps."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.test import Client
    from django.urls import reverse
    from django.utils import timezone

    from monitoring.checks.store import forget_results
    from monitoring.models import HealthCheck
    from monitoring.slos.counting import count_minutes
    from monitoring.status_pages import keeping
    from monitoring.uptime.rollups import _latencies
    from registry.models import Service

    call_command("collectstatic", interactive=False, verbosity=0)
    person = get_user_model().objects.create_superuser("bench", "bench@example.org", "bench")
    client = Client()
    client.force_login(person)
    service = Service.objects.order_by("name")[0]
    check = HealthCheck.objects.get(service=service)

    def page(path: str) -> Callable[[], object]:
        def ask() -> int:
            answer = client.get(path)
            assert answer.status_code == 200, (path, answer.status_code)
            return len(answer.content)

        return ask

    def status_page() -> object:
        keeping.keeper.forget()
        return page("/status/all")()

    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    return {
        "service, its page": page(reverse("admin:registry_service_change", args=[service.pk])),
        "90 days of all services, their page": page(
            reverse("admin:monitoring_statusspan_changelist")
        ),
        "check, its page": page(reverse("admin:monitoring_healthcheck_change", args=[check.pk])),
        "status page of 100 components": status_page,
        "uptime of a service, 90 days": page(
            f"/api/monitoring/services/{service.name}/uptime?window=90d"
        ),
        "results of a check, first page": page(f"/api/monitoring/checks/{check.pk}/results"),
        "sweep: old results, one batch": lambda: forget_results(now=timezone.now()),
        "sweep: minutes of objectives": lambda: count_minutes(now=timezone.now()),
        "sweep: latencies of an hour": lambda: _latencies(hour - timedelta(hours=1), hour),
    }


def print_line(name: str, ask: Callable[[], Any]) -> None:
    from django.db import connection

    asked: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        ask()
    walls, cpus = [], []
    for _ in range(ROUNDS):
        wall, cpu = time.monotonic(), time.process_time()
        ask()
        walls.append((time.monotonic() - wall) * 1000)
        cpus.append((time.process_time() - cpu) * 1000)
    wall = statistics.median(walls)
    verdict = "" if name.startswith("sweep") else "yes" if wall <= MOST_MS else "no"
    say(f"| {name} | {wall:.0f} | {statistics.median(cpus):.0f} | {len(asked)} | {verdict} |")
