"""Sweeps over requests to models."""

from __future__ import annotations

from django.utils import timezone

from core.periodic_tasks import periodic_task
from model_orchestration.services.history import drop_requests
from model_orchestration.services.offering import offer_models
from model_orchestration.settlement import sweep_expired


@periodic_task("model_orchestration.tasks.sweep_requests")
def sweep_requests() -> None:
    """Settle the requests whose process ended before it did."""
    sweep_expired(now=timezone.now())


@periodic_task("model_orchestration.tasks.offer_models")
def offer_own_service() -> None:
    """Keep the hub registered as a service of models."""
    offer_models()


@periodic_task("model_orchestration.tasks.forget_requests")
def forget_requests() -> None:
    """Drop the requests that were kept for long enough."""
    drop_requests(now=timezone.now())
