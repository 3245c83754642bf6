"""Decides how long executions are kept after their end (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from workflows.models import RetentionClass


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the classes mean here.

    `days` has SHORT, STANDARD and LONG; `default` is the class of workflows that name none, and of
    executions whose workflow was deleted. FAILED executions are kept `failed_days` at the least.
    """

    days: Mapping[str, int]
    default: str
    failed_days: int

    def limits(self, retention: str, *, now: datetime) -> RetentionCutoff | None:
        """Return what of a class may go; None when it is kept for ever."""
        name = self.default if retention == RetentionClass.DEFAULT else retention
        days = self.days.get(name)
        if days is None:
            return None
        return RetentionCutoff(
            retention=name,
            ended_before=now - timedelta(days=days),
            failed_before=now - timedelta(days=max(days, self.failed_days)),
        )


@dataclass(frozen=True, kw_only=True)
class RetentionCutoff:
    """Executions that ended before these times may go."""

    retention: str
    ended_before: datetime
    failed_before: datetime
