"""Sweeps that keep the picture of the fleet true."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from celery.signals import worker_ready, worker_shutdown
from django.conf import settings
from django.utils import timezone

from core.db.signs import RowSigns
from core.mediator import mediator
from core.models.idempotency import forget_answers
from core.periodic_tasks import periodic_task
from core.wake import Wake
from monitoring.alerts.outbox import forget_deliveries, sender
from monitoring.alerts.telling import teller
from monitoring.checks.lifecycle import resume_due
from monitoring.checks.store import forget_results
from monitoring.checks.subjects import keep_subjects
from monitoring.checks.sweep import sweeper
from monitoring.handling import end_due_acknowledgements
from monitoring.incidents import watch_fleet
from monitoring.maintenance.planning import plan_windows
from monitoring.models import Incident
from monitoring.slos.counting import count_minutes, forget_minutes
from monitoring.uptime.rollups import forget_hours, sum_hours
from monitoring.uptime.spans import begin_missing, follow_changes
from registry.calls.blocking_client import probe_urls
from registry.calls.circuits.store import end_lapsed_controls
from registry.services import (
    cut_change_log,
    end_due_maintenance,
    expire_instances,
    forget_gone_instances,
)

logger = structlog.get_logger(__name__)

_DUE = RowSigns(
    services="SELECT 1 FROM registered_service WHERE maintenance_until <= %(now)s",
    instances="SELECT 1 FROM service_instance WHERE maintenance_until <= %(now)s",
    paused="SELECT 1 FROM health_check WHERE paused_until <= %(now)s",
    acknowledged=(
        "SELECT 1 FROM incident WHERE status = 'ACKNOWLEDGED' AND acknowledged_until <= %(now)s"
    ),
    windows="SELECT 1 FROM maintenance_window WHERE status IN ('SCHEDULED', 'IN_PROGRESS')",
    circuits="SELECT 1 FROM circuit_breaker_state WHERE until IS NOT NULL",
)


@periodic_task("monitoring.tasks.sweep_heartbeats")
def sweep_heartbeats() -> None:
    """Mark instances whose heartbeats stopped as OFFLINE, and forget what is long past.

    Circuits that an operator holds until a time that is past are closed on the way, and
    maintenance whose end is reached is lifted.
    """
    now = timezone.now()
    due = _DUE.seen(now=now)
    if {"services", "instances"} & due:
        end_due_maintenance(now=now)
    expire_instances(now=now)
    # Before the log is cut.
    follow_changes(now=now)
    if "paused" in due:
        resume_due(now=now)
    keep_subjects(now=now)
    watch_fleet(now=now)
    if "acknowledged" in due:
        end_due_acknowledgements(now=now)
    if "windows" in due:
        plan_windows(now=now)
    if "circuits" in due:
        end_lapsed_controls()
    forget_gone_instances(now=now, age=timedelta(days=settings.INSTANCE_RETENTION_DAYS))
    cut_change_log()
    forget_answers(now=now)
    forget_deliveries(now=now)
    forget_results(now=now)


@periodic_task("monitoring.tasks.count_objectives")
def count_objectives() -> None:
    """Count the looks of the minutes that are over for the objectives of services."""
    count_minutes(now=timezone.now())


@periodic_task("monitoring.tasks.sum_uptime")
def sum_uptime() -> None:
    """Sum the hours and days that are over, and forget those that were kept for long enough."""
    now = timezone.now()
    begin_missing(now=now)
    sum_hours(now=now)
    forget_hours(now=now)
    forget_minutes(now=now)


@periodic_task("monitoring.tasks.send_alerts")
def send_alerts() -> None:
    """Tell channels of incidents: write the messages that are due, and send what waits."""
    teller.tell_due(now=timezone.now())
    sender.send_due(now=timezone.now())


def tell_of_turns() -> None:
    """Do now what the next sweeps would do: find what is wrong, tell of it, and send that."""
    watch_fleet(now=timezone.now())
    send_alerts()


turns = Wake(tell_of_turns)


@worker_ready.connect
def tell_turns_at_once(**_: Any) -> None:
    """Have workers tell at once of what their checks found."""
    mediator.subscribe("checks_turned", turns.call)


@worker_shutdown.connect
def tell_no_turns(**_: Any) -> None:
    """Stop that."""
    turns.stop()


@periodic_task("monitoring.tasks.call_outside_watcher")
def call_outside_watcher() -> None:
    """Tell whoever watches from outside that the clock, the database and a worker work."""
    url = settings.MONITORING_HEARTBEAT_URL
    if not url:
        return
    # Without the database nobody is told that all is well.
    Incident.objects.unresolved().exists()
    (answer,) = probe_urls([url])
    if not answer.healthy:
        logger.warning("outside_watcher_not_reached", error=answer.error)


@periodic_task("monitoring.tasks.sweep_checks")
def sweep_checks() -> None:
    """Write what checks saw, and have looked at what is due."""
    sweeper.sweep()
