"""When services were under maintenance that their status does not tell of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from registry.policies.uptime import Span


def windows_between(
    services: Sequence[UUID], start: datetime, end: datetime
) -> Mapping[UUID, Sequence[Span]]:
    """Return the windows of maintenance that reach into a time, by service."""
    return {}
