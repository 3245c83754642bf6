"""Sweeps that keep the picture of the fleet true."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.db import connections
from django.utils import timezone

from registry.services import expire_instances, forget_old


@shared_task(name="monitoring.tasks.sweep_heartbeats")
def sweep_heartbeats() -> None:
    """Mark instances whose heartbeats stopped as OFFLINE, and forget those long gone."""
    try:
        now = timezone.now()
        expire_instances(now=now)
        forget_old(now=now, age=timedelta(days=settings.INSTANCE_RETENTION_DAYS))
    finally:
        connections.close_all()
