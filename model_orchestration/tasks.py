"""Sweeps over requests to models."""

from __future__ import annotations

from django.utils import timezone

from core.periodic_tasks import periodic_task
from model_orchestration.settlement import sweep_expired


@periodic_task("model_orchestration.tasks.sweep_requests")
def sweep_requests() -> None:
    """Settle the requests whose process ended before it did."""
    sweep_expired(now=timezone.now())
