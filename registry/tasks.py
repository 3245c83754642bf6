"""Sweeps over the registry."""

from __future__ import annotations

from celery import shared_task
from django.db import connections
from django.utils import timezone

from registry.credentials.expiry import warn_expiring


@shared_task(name="registry.tasks.sweep_credentials")
def sweep_credentials() -> None:
    """Tell about credentials that end soon."""
    try:
        warn_expiring(now=timezone.now())
    finally:
        connections.close_all()
