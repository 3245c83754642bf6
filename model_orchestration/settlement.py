"""Writes how requests ended: those that end together in one transaction. For one event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.utils import timezone

from core.batches import Batches
from core.db.pipeline import pipelined_transaction, wait_for_no_disk
from core.db.rows import among, read_rows, update_rows
from model_orchestration.early_warnings import warn_of
from model_orchestration.models import OPEN_STATES, Request, RequestState, UsageSource
from model_orchestration.models.request import LONGEST_REASON
from model_orchestration.models.route import ErrorClass
from model_orchestration.outcomes import RequestOutcome
from model_orchestration.reservations import Settlement, settle
from model_orchestration.samples import Sample, add_samples, confidence_of, task_type_of

logger = structlog.get_logger(__name__)

MOST_SWEPT = 500
# Of those that nobody settles, after the end of their lease.
EXPIRED_SENTENCE = (
    "The process that sent it ended before the answer was settled. It is charged with the most"
    " that it could use."
)


class SettlementWriter:
    """Gathers outcomes while a transaction is under way, and writes them with the next."""

    def __init__(self) -> None:
        self._batches = Batches(_write_each, name="settlements")

    async def write(self, outcome: RequestOutcome) -> None:
        """Return once an outcome is committed, or cannot be: then the sweep settles the request."""
        with contextlib.suppress(Exception):  # it was logged
            await asyncio.shield(asyncio.ensure_future(self._batches.join(outcome)))

    def close(self) -> None:
        """Take no more outcomes; what was taken is written."""
        self._batches.close()


def _write_each(outcomes: Sequence[RequestOutcome]) -> Sequence[None]:
    try:
        write_outcomes(outcomes)
    except Exception as error:
        logger.warning("requests_not_settled", requests=len(outcomes), error=str(error)[:300])
        raise
    return [None] * len(outcomes)


def write_outcomes(outcomes: Sequence[RequestOutcome]) -> None:
    """Settle the requests that are still open, in one transaction.

    Its commit waits for no disk: if the server of the database fails right then, the requests are
    open again, and charged in full by the sweep.
    """
    now = timezone.now()
    by_id = {outcome.id: outcome for outcome in outcomes}
    with pipelined_transaction():
        wait_for_no_disk()
        rows = _open_among(sorted(by_id))
        settlements: list[Settlement] = []
        for row in rows:
            outcome = by_id[row.pk]
            charged = _settlements(row, outcome)
            settlements += charged
            _fill(row, outcome, now)
            row.held = [each.as_json() for each in charged if each.counts]
        update_rows(rows, _WRITTEN)
        changes = settle(settlements)
        add_samples([each for row in rows for each in _samples(row, by_id[row.pk], now)])
        warn_of(changes, now=now)


def sweep_expired(*, now: datetime) -> int:
    """Settle requests whose process ended: they are charged with what was reserved."""
    with transaction.atomic():
        rows = list(
            _open_rows(skip_locked=True).filter(lease_until__lt=now).order_by("pk")[:MOST_SWEPT]
        )
        settlements: list[Settlement] = []
        for row in rows:
            charged = [_charged_in_full(each) for each in row.held]
            settlements += charged
            row.state, row.completed_at = RequestState.EXPIRED, now
            row.usage_source = UsageSource.ESTIMATED
            row.cost_nanousd, row.total_tokens = row.reserved_nanousd, row.reserved_tokens
            row.error_code, row.error_message = "expired", EXPIRED_SENTENCE
            row.lease_until, row.held = None, [each.as_json() for each in charged]
        update_rows(rows, _WRITTEN)
        settle(settlements)
    if rows:
        logger.warning("requests_expired", requests=len(rows))
    return len(rows)


def _open_among(keys: Sequence[UUID]) -> list[Request]:
    """Return and lock those of these requests that are open."""
    condition, params = among("id", keys, "uuid[]")
    lock = " FOR UPDATE" if connection.vendor == "postgresql" else ""
    where = f"WHERE {condition} AND state = %s ORDER BY id{lock}"
    return read_rows(Request, where, [*params, RequestState.ADMITTED.value], only=_READ)


def _open_rows(*, skip_locked: bool = False) -> Any:
    rows = Request.objects.filter(state__in=OPEN_STATES)
    if connection.vendor != "postgresql":
        return rows
    return rows.select_for_update(skip_locked=skip_locked, of=("self",))


def _settlements(row: Request, outcome: RequestOutcome) -> list[Settlement]:
    served = outcome.target.model if outcome.target else ""
    counted = outcome.state != RequestState.FAILED or outcome.cost_nanousd > 0
    settlements = []
    for window, tokens, nanousd, requests, models, *is_rate in row.held:
        counts = counted and (not models or served in models)
        used = (outcome.usage.total_tokens, outcome.cost_nanousd, requests) if counts else (0, 0, 0)
        if is_rate:
            used = (*used[:2], _times_sent(outcome, models))
        settlements.append(Settlement(UUID(window), tokens, nanousd, requests, *used))
    return settlements


def _times_sent(outcome: RequestOutcome, models: Collection[str]) -> int:
    """Return how often models were sent a request, with those times that failed."""
    return sum(each.model in models and not each.is_refused_here for each in outcome.attempts)


def _charged_in_full(held: Sequence[Any]) -> Settlement:
    window, tokens, nanousd, requests, *_ = held
    return Settlement(UUID(window), tokens, nanousd, requests, tokens, nanousd, requests)


# Errors that say something of the model; others are the caller's, or those of our account.
_FAILURES = frozenset(
    {ErrorClass.CONTENT, ErrorClass.NOT_FOUND, ErrorClass.TIMEOUT, ErrorClass.UNAVAILABLE}
)


def _samples(row: Request, outcome: RequestOutcome, now: datetime) -> Iterator[Sample]:
    """Yield what a request says of the models that it was sent to, at the task that it was for.

    An answer that nobody waited for says nothing; nor does what the hub itself did not send.
    """
    task_type = task_type_of(row.task_type)
    if not task_type:
        return
    is_whole = outcome.state == RequestState.SETTLED
    failed = {
        each.model
        for each in outcome.attempts
        if each.error in _FAILURES and not each.is_refused_here
    }
    if is_whole:
        end = outcome.finish_reason
        confidence = confidence_of(end) if end else None
        yield Sample(row.model_id, task_type, now, True, confidence=confidence)
        failed.discard(row.model_id)
    for model in sorted(failed):
        yield Sample(model, task_type, now, False)


def _fill(row: Request, outcome: RequestOutcome, now: datetime) -> None:
    usage = outcome.usage
    row.state, row.usage_source = outcome.state, outcome.usage_source
    row.success = outcome.state == RequestState.SETTLED
    if outcome.target is not None:
        row.model_id, row.provider = outcome.target.model, outcome.target.provider
    row.choice_reason = outcome.choice_reason[:LONGEST_REASON] or row.choice_reason
    row.prompt_tokens, row.completion_tokens = usage.input_tokens, usage.output_tokens
    row.total_tokens = usage.total_tokens
    row.cached_tokens, row.cache_write_tokens = usage.cached_tokens, usage.cache_write_tokens
    row.reasoning_tokens, row.images = usage.reasoning_tokens, usage.images
    row.audio_seconds = usage.audio_seconds
    row.cost_nanousd = outcome.cost_nanousd
    row.attempts = [attempt.as_json() for attempt in outcome.attempts]
    row.latency_ms, row.first_token_ms = outcome.latency_ms, outcome.first_token_ms
    row.error_code, row.error_message = outcome.error_code[:50], outcome.error_message[:1000]
    row.lease_until, row.completed_at = None, now


# What settling needs of a request.
_READ = ("id", "model_id", "provider", "choice_reason", "task_type", "held")
_WRITTEN = (
    "state", "usage_source", "success", "model_id", "provider", "choice_reason", "prompt_tokens",
    "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens",
    "reasoning_tokens", "images", "audio_seconds", "cost_nanousd", "attempts", "latency_ms",
    "first_token_ms", "error_code", "error_message", "lease_until", "held", "completed_at",
)  # fmt: skip
