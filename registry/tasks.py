"""Sweeps over the registry."""

from __future__ import annotations

from celery import shared_task
from django.db import connections
from django.utils import timezone

from registry.credentials.expiry import warn_expiring
from registry.integrations.history import forget_executions


@shared_task(name="registry.tasks.sweep_credentials")
def sweep_credentials() -> None:
    """Tell about credentials that end soon."""
    try:
        warn_expiring(now=timezone.now())
    finally:
        connections.close_all()


@shared_task(name="registry.tasks.forget_integration_history")
def forget_integration_history() -> None:
    """Drop what is kept of executions of integrations for long enough."""
    try:
        forget_executions(now=timezone.now())
    finally:
        connections.close_all()
