"""What the apps have to do every second, for one message: its way costs more than most of it."""

from __future__ import annotations

import structlog

from core.periodic_tasks import periodic_task
from monitoring.tasks import send_alerts, sweep_checks
from workflows.tasks import sweep, sweep_due_schedules

logger = structlog.get_logger(__name__)

SWEEPS = (sweep, sweep_due_schedules, sweep_checks, send_alerts)


@periodic_task("integration_site.tasks.sweep_each_second")
def sweep_each_second() -> None:
    """Look for due steps, schedules, checks and alerts; where one fails, the others go on."""
    for each in SWEEPS:
        try:
            each()
        except Exception:
            logger.exception("sweep_failed", task=each.name)
