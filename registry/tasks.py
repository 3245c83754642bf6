"""Sweeps over the registry."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.db import connections
from django.utils import timezone

from registry.connections.testing import run_due_tests
from registry.credentials.expiry import warn_expiring
from registry.integrations.history import forget_executions
from registry.limits.store import forget_limits

LIMITS_KEPT = timedelta(days=1)


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


@shared_task(name="registry.tasks.test_connections")
def test_connections() -> None:
    """Test the connections whose turn it is."""
    try:
        run_due_tests(now=timezone.now())
    finally:
        connections.close_all()


@shared_task(name="registry.tasks.sweep_limits")
def sweep_limits() -> None:
    """Forget what limits counted for services and connections that nobody calls any more."""
    try:
        forget_limits(older_than=LIMITS_KEPT)
    finally:
        connections.close_all()
