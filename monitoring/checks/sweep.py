"""Has what is due looked at: claims ahead, looks on the loop of calls, writes all in one go.

A sweep is one transaction: it writes what was seen since the last one, and claims what is due until
the next. Looks wait on the loop for their very time, so that they are late by no sweep.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import DatabaseError, connections
from django.utils import timezone

from core.db.pipeline import pipelined_transaction
from core.db.signs import RowSigns
from core.mediator import mediator
from monitoring.checks import decide
from monitoring.checks.looking import see
from monitoring.checks.looks import Look, Seen, StateChange
from monitoring.checks.pool import LookPool
from monitoring.checks.reading import looks_of
from monitoring.checks.store import MOST_CLAIMED, claim_due, write
from monitoring.models import CheckOutcome, CheckStatus
from registry.calls.blocking_client import begin_probes, on_shared_loop
from registry.calls.client import ServiceClient
from registry.policies.probing import ProbePlan
from registry.services.probes import Answer, record_answers

logger = structlog.get_logger(__name__)

# How far ahead of their time looks are claimed: longer than a sweep may be late.
AHEAD = timedelta(seconds=1.5)
MOST_WAITING = 10_000
# What was seen and no sweep of this process wrote for so long is written without one.
UNWRITTEN_SECONDS = 1.5
CANARY_SECONDS = 10.0
_DUE = RowSigns(due="SELECT 1 FROM check_state WHERE next_due_at <= %(until)s")
# What is told of: that something is down, and that it is not any more.
_NEWS = frozenset({CheckStatus.DOWN, CheckStatus.RECOVERING, CheckStatus.STALE})


class Sweeper:
    """The looks of one process: on their way, and seen but not written yet."""

    def __init__(self) -> None:
        self._seen: deque[Seen] = deque()
        self._under_way = 0
        self._counting = threading.Lock()
        self._pool: LookPool[Look] | None = None
        self._client: ServiceClient | None = None
        self._flush: asyncio.TimerHandle | None = None
        self._canaries = Canaries()
        self._swept_at = time.monotonic()

    def sweep(self, *, now: datetime | None = None) -> list[StateChange]:
        """Write what was seen, claim what is due and begin to look at it; return what changed."""
        moment = now or timezone.now()
        self._swept_at = time.monotonic()
        seen = told_blind(self._take())
        if not seen and not _DUE.seen(until=moment + AHEAD):
            return []
        looks: list[Look] = []
        try:
            with pipelined_transaction():
                changes = write(seen)
                room = MOST_WAITING - self._under_way
                while room > 0:
                    limit = min(room, MOST_CLAIMED)
                    claimed = claim_due(now=moment, until=moment + AHEAD, limit=limit)
                    looks += looks_of(claimed, now=moment)
                    room -= limit
                    if len(claimed) < limit:
                        break
        except DatabaseError:
            self._seen.extendleft(reversed(seen))
            raise
        self._begin(looks)
        tell_registry(seen, now=moment)
        tell_turns(changes)
        return changes

    def _take(self) -> list[Seen]:
        """Take what was seen; of a state that was seen twice, the second waits for its turn."""
        return [self._seen.popleft() for _ in range(len(self._seen))]

    def _begin(self, looks: Sequence[Look]) -> None:
        if not looks:
            return
        with self._counting:
            self._under_way += len(looks)

        async def add(client: ServiceClient) -> None:
            self._client = client
            if self._pool is None:
                self._pool = LookPool(self._look)
            loop = asyncio.get_running_loop()
            wall = timezone.now()
            for look in looks:
                wait = (look.due - wall).total_seconds()
                if wait <= 0:
                    self._pool.add(look)
                else:
                    loop.call_later(wait, self._pool.add, look)

        on_shared_loop(add)

    async def _look(self, look: Look) -> None:
        assert self._client is not None
        try:
            seen = await see(look, self._client)
            if seen.error_kind in decide.NETWORK_FAULTS and await self._canaries.are_silent():
                seen = replace(seen, outcome=str(CheckOutcome.INCONCLUSIVE))
            self._seen.append(seen)
        finally:
            with self._counting:
                self._under_way -= 1
        if self._flush is None:
            loop = asyncio.get_running_loop()
            self._flush = loop.call_later(UNWRITTEN_SECONDS, self._write_soon)

    def _write_soon(self) -> None:
        self._flush = None
        # Where sweeps come, they write.
        is_swept = time.monotonic() - self._swept_at < UNWRITTEN_SECONDS
        if self._seen and is_swept:
            loop = asyncio.get_running_loop()
            self._flush = loop.call_later(UNWRITTEN_SECONDS, self._write_soon)
        elif self._seen and self._client is not None:
            self._client.in_database(self._write_alone)

    def _write_alone(self) -> None:
        seen = self._take()
        try:
            with pipelined_transaction():
                changes = write(seen)
            tell_registry(seen, now=timezone.now())
            tell_turns(changes)
        except DatabaseError as error:
            self._seen.extendleft(reversed(seen))
            logger.warning("checks_not_written", error=str(error)[:300])
        finally:
            connections.close_all()


class Canaries:
    """The addresses by which the hub knows whether it sees anything at all, asked when in doubt."""

    def __init__(self) -> None:
        self._asking = asyncio.Lock()
        self._asked_at = -CANARY_SECONDS
        self._silent = False

    async def are_silent(self) -> bool:
        """Return whether there are canaries, and none answers; as of a moment ago."""
        urls = settings.MONITORING_CANARIES
        if not urls:
            return False
        async with self._asking:
            if time.monotonic() - self._asked_at >= CANARY_SECONDS:
                answers = await asyncio.wrap_future(begin_probes(urls))
                heard = [each.status_code is not None for each in answers]
                self._silent = decide.hub_is_blind([], canaries=heard)
                self._asked_at = time.monotonic()
            return self._silent


def told_blind(seen: Sequence[Seen]) -> list[Seen]:
    """Return what was seen; what failed for the hub's own network, if it seems so, as no news."""
    looks = [(each.look.host, each.error_kind) for each in seen if each.look.host]
    if settings.MONITORING_CANARIES or not decide.hub_is_blind(looks):
        return list(seen)
    inconclusive = str(CheckOutcome.INCONCLUSIVE)
    return [
        replace(each, outcome=inconclusive) if each.error_kind in decide.NETWORK_FAULTS else each
        for each in seen
    ]


def tell_registry(seen: Sequence[Seen], *, now: datetime) -> None:
    """Let the answers of health URLs decide the status of their instances."""
    by_plan: dict[decide.CheckPlan, list[Answer]] = {}
    for each in seen:
        look = each.look
        if not look.spec.is_automatic or look.instance_id is None:
            continue
        if each.outcome == CheckOutcome.INCONCLUSIVE:
            continue
        by_plan.setdefault(look.spec.plan, []).append(Answer(look.instance_id, each.error))
    for plan, answers in by_plan.items():
        counted = ProbePlan(
            failure_threshold=plan.failure_threshold,
            success_threshold=plan.success_threshold,
            interval_seconds=plan.interval_seconds,
        )
        record_answers(answers, plan=counted, now=now)


def tell_turns(changes: Sequence[StateChange]) -> None:
    """Publish that something is down, or is not any more, once that is written."""
    if any(each.now == CheckStatus.DOWN or each.was in _NEWS for each in changes):
        mediator.publish("checks_turned")


sweeper = Sweeper()
