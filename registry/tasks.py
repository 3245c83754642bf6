"""Sweeps over the registry."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery.signals import worker_shutdown
from django.utils import timezone

from core.audit import forget_entries
from core.logins import forget_failures
from core.periodic_tasks import periodic_task
from registry.calls.blocking_client import close_shared_client
from registry.calls.limits.store import forget_limits
from registry.connections.scheduled_checks import run_due_tests
from registry.credentials.audit import forget_events
from registry.credentials.expiry import warn_expiring
from registry.integrations.history import forget_executions

LIMITS_KEPT = timedelta(days=1)


@worker_shutdown.connect
def close_client(**_: Any) -> None:
    """Let the worker end without calls that nobody recorded."""
    close_shared_client()


@periodic_task("registry.tasks.sweep_credentials")
def sweep_credentials() -> None:
    """Tell about credentials that end soon."""
    warn_expiring(now=timezone.now())


@periodic_task("registry.tasks.forget_integration_history")
def forget_integration_history() -> None:
    """Drop what is kept of executions of integrations for long enough."""
    forget_executions(now=timezone.now())


@periodic_task("registry.tasks.forget_credential_history")
def forget_credential_history() -> None:
    """Drop entries on uses of credentials that are old enough."""
    forget_events(now=timezone.now())


@periodic_task("registry.tasks.forget_audit_entries")
def forget_audit_entries() -> None:
    """Drop entries on what persons did that are old enough."""
    forget_entries(now=timezone.now())


@periodic_task("registry.tasks.test_connections")
def test_connections() -> None:
    """Test the connections whose turn it is."""
    run_due_tests(now=timezone.now())


@periodic_task("registry.tasks.sweep_limits")
def sweep_limits() -> None:
    """Forget what limits counted of calls and logins that are long past."""
    forget_limits(older_than=LIMITS_KEPT)
    forget_failures(now=timezone.now())
