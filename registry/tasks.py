"""Sweeps over the registry."""

from __future__ import annotations

from django.utils import timezone

from registry.credentials.expiry import warn_expiring
from registry.periodic import periodic_task


@periodic_task("registry.tasks.sweep_credentials")
def sweep_credentials() -> None:
    """Tell about credentials that end soon."""
    warn_expiring(now=timezone.now())
