"""Keeps the outcomes of integrations for a while, without what was sent."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Case, CharField, F, Value, When

from core.db.retention import drop_history
from core.exceptions import IntegrationError, SchemaViolation
from core.expressions import ExpressionError
from core.unknown_fields import enumerate_fields
from registry.models import (
    Integration,
    IntegrationExecution,
    IntegrationOutcome,
    IntegrationStatus,
)

logger = structlog.get_logger(__name__)

LONGEST_MESSAGE = 1000


@dataclass(slots=True, kw_only=True)
class Attempt:
    """An execution under way; `sending` says that the target may have been reached."""

    id: UUID
    integration: Integration
    actor: str
    request_id: str
    correlation_id: str
    started_at: datetime
    clock: float
    sending: bool = False

    def duration_ms(self) -> float:
        return round((time.monotonic() - self.clock) * 1000, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome of an attempt: an error, or who answered."""

    error: IntegrationError | None = None
    service: str = ""
    instance: str = ""
    upstream_status: int | None = None
    warnings: list[Mapping[str, Any]] = field(default_factory=list)


def record_attempt(attempt: Attempt, result: Result) -> None:
    """Keep what became of an execution. It happened, whether or not that can be written down."""
    row = _row_of(attempt, result)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            _count(attempt.integration, row)
    except DatabaseError as error:
        logger.warning(
            "integration_not_recorded",
            integration=attempt.integration.name,
            status=row.status,
            error=str(error)[:300],
        )


def _row_of(attempt: Attempt, result: Result) -> IntegrationExecution:
    error = result.error
    about = error.details if error is not None else {}
    return IntegrationExecution(
        id=attempt.id,
        integration=attempt.integration,
        status=_outcome_of(attempt, error),
        actor=attempt.actor[:100],
        request_id=attempt.request_id[:200],
        correlation_id=attempt.correlation_id[:200],
        service=str(result.service or about.get("service") or "")[:100],
        instance=str(result.instance or about.get("instance") or "")[:500],
        upstream_status=result.upstream_status or about.get("upstream_status"),
        started_at=attempt.started_at,
        duration_ms=attempt.duration_ms(),
        error=describe_error(error) if error is not None else None,
        warnings=result.warnings,
    )


def _outcome_of(attempt: Attempt, error: IntegrationError | None) -> str:
    if error is None:
        return IntegrationOutcome.COMPLETED
    if isinstance(error, SchemaViolation) or not attempt.sending:
        return IntegrationOutcome.REFUSED
    return IntegrationOutcome.FAILED


def describe_error(error: IntegrationError) -> dict[str, str]:
    """An error as it is kept: what a payload held is not repeated, only where it did not fit."""
    message = error.message
    if isinstance(error, SchemaViolation | ExpressionError):
        places = enumerate_fields(error.details.get("errors") or ())
        message = f"It does not fit: {places}." if places else "It does not fit."
    return {"code": error.code, "message": message[:LONGEST_MESSAGE]}


def _count(integration: Integration, row: IntegrationExecution) -> None:
    """Failures in a row make an ACTIVE integration an ERROR, a success makes it ACTIVE again.

    Not through save(): what a caller read has not changed by it.
    """
    rows = Integration.objects.filter(pk=integration.pk)
    if row.status == IntegrationOutcome.COMPLETED:
        well = Case(
            When(status=IntegrationStatus.ERROR, then=Value(IntegrationStatus.ACTIVE.value)),
            default=F("status"),
            output_field=CharField(),
        )
        rows.filter(failures_in_a_row__gt=0).update(failures_in_a_row=0, last_error="", status=well)
    elif row.status == IntegrationOutcome.FAILED:
        sentence = (row.error or {}).get("message", "")
        rows.update(failures_in_a_row=F("failures_in_a_row") + 1, last_error=sentence)
        failing = rows.filter(
            status=IntegrationStatus.ACTIVE, failures_in_a_row__gte=integration.error_after
        )
        if failing.update(status=IntegrationStatus.ERROR):
            logger.warning("integration_failing", integration=integration.name, error=sentence)


def forget_executions(*, now: datetime) -> int:
    """Drop what is older than the settings say, and beyond the most of each; return how many."""
    return drop_history(
        IntegrationExecution.objects,
        of="integration",
        days=settings.INTEGRATION_HISTORY_DAYS,
        most=settings.INTEGRATION_HISTORY_MOST,
        now=now,
    )
