"""Claims what is due, and writes what was seen: the two statements that every look costs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from core.db.pipeline import prepared_cursor
from core.db.retention import LARGEST_PURGE, drop_older
from core.db.rows import insert_rows, row_reader
from monitoring.checks import decide, jobs
from monitoring.checks.decide import SubjectFacts
from monitoring.checks.looks import Look, Seen, StateChange
from monitoring.models import CheckOutcome, CheckState, HealthCheckResult
from monitoring.models.check import LONGEST_ERROR

MOST_CLAIMED = 500
# Who claimed and died leaves its looks to others after this time.
LEASE = timedelta(seconds=90)
RESULTS_DAYS = 7
MOST_BATCHES = 20
FACTS = (
    "state", "since", "failures", "successes", "first_failure_at", "down_since", "blips",
    "flap_bits", "flapping", "last_result_at",
)  # fmt: skip
CLAIMED = ("id", "health_check_id", "instance_id", "next_due_at", "fence", "started_at", *FACTS)
# How a job ended last.
ENDED = ("outcome", "error_kind", "error", "latency_ms")
_WRITTEN = {
    **dict.fromkeys(("since", "first_failure_at", "down_since", "last_result_at"), "timestamptz"),
    **dict.fromkeys(("certificate_expires_at", "next_due_at", "started_at"), "timestamptz"),
    **dict.fromkeys(("state", "outcome", "error_kind", "error"), "text"),
    **dict.fromkeys(("failures", "successes", "blips", "flap_bits"), "integer"),
    "flapping": "boolean",
    "latency_ms": "double precision",
}


def claim_due(*, now: datetime, until: datetime, limit: int = MOST_CLAIMED) -> list[dict[str, Any]]:
    """Claim at most `limit` states that are due until a time; return their columns.

    Of any number of processes one gets each. It is called within a transaction.
    """
    reader = row_reader(CheckState, CLAIMED)
    due = (
        "SELECT id FROM check_state WHERE next_due_at <= %s"
        " AND (lease_until IS NULL OR lease_until < %s)"
        " ORDER BY next_due_at LIMIT %s"
    )
    is_locked = connection.vendor == "postgresql"
    among = f"= ANY(ARRAY({due} FOR UPDATE SKIP LOCKED))" if is_locked else f"IN ({due})"
    statement = (
        f"UPDATE check_state SET lease_until = %s, fence = fence + 1 WHERE id {among}"  # noqa: S608
        f" RETURNING {reader.columns}"
    )
    times = [_time(now + LEASE), _time(until), _time(now)]
    with prepared_cursor() as cursor:
        cursor.execute(statement, [*times, limit])
        answers = cursor.fetchall()
    return [dict(zip(reader.names, reader.values(answer), strict=True)) for answer in answers]


def _time(moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)


def facts_of(columns: dict[str, Any]) -> SubjectFacts:
    return SubjectFacts(**{name: columns[name] for name in FACTS})


def write(seen: Sequence[Seen]) -> list[StateChange]:
    """Store what was seen, and return what changed by it. It is called within a transaction.

    What was claimed by another meanwhile, paused or deleted is left out.
    """
    if not seen:
        return []
    decided = {each.look.state_id: (each, *_decide(each)) for each in seen}
    stored = _update({key: columns for key, (_, columns, _) in decided.items()}, decided)
    kept = [decided[key] for key in stored]
    if kept:
        insert_rows(*(_result_of(each) for each, _, _ in kept))
    return [change for _, _, found in kept for change in found]


def claim_job(digest: str) -> dict[str, Any] | None:
    """Claim the state of the check that a job calls by its token; None if no token is that.

    It is locked until the end of the transaction, and what was claimed of it before is not written.
    """
    reader = row_reader(CheckState, (*CLAIMED, *ENDED))
    statement = (
        "UPDATE check_state SET fence = fence + 1 WHERE health_check_id ="  # noqa: S608
        " (SELECT id FROM health_check WHERE push_digest = %s AND push_digest <> '')"
        f" RETURNING {reader.columns}"
    )
    with prepared_cursor() as cursor:
        cursor.execute(statement, [digest])
        answer = cursor.fetchone()
    return dict(zip(reader.names, reader.values(answer), strict=True)) if answer else None


def _decide(seen: Seen) -> tuple[dict[str, Any], list[StateChange]]:
    look = seen.look
    if look.spec.job is not None:
        return _decide_job(seen, look.spec.job)
    facts, turns = decide.after_look(look.facts, seen.outcome, at=seen.at, plan=look.spec.plan)
    columns = _columns(seen, facts) | {
        "certificate_expires_at": seen.certificate_ends_at,
        "next_due_at": decide.next_look(
            str(look.state_id), facts, due=look.due, at=seen.at, plan=look.spec.plan
        ),
    }
    return columns, [_change(look, turn, seen.error) for turn in turns]


def _decide_job(seen: Seen, plan: jobs.JobPlan) -> tuple[dict[str, Any], list[StateChange]]:
    look = seen.look
    if seen.signal:
        step = jobs.after_signal(look.facts, look.started_at, seen.signal, at=seen.at)
    else:
        step = jobs.after_silence(look.facts, look.started_at, due=look.due)
    columns = _columns(seen, step.facts) | {
        "started_at": step.started_at,
        "next_due_at": jobs.due_of(step.facts, step.started_at, plan),
    }
    if seen.outcome == CheckOutcome.INCONCLUSIVE:
        columns |= look.ended  # how it ended last stands until it ends again
    return columns, [_change(look, turn, seen.error) for turn in step.turns]


def _columns(seen: Seen, facts: SubjectFacts) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in FACTS} | {
        "outcome": seen.outcome,
        "error_kind": seen.error_kind,
        "error": seen.error[:LONGEST_ERROR],
        "latency_ms": seen.latency_ms,
        "certificate_expires_at": None,
        "started_at": None,
    }


def _change(look: Look, turn: decide.StateTurn, error: str) -> StateChange:
    spec = look.spec
    return StateChange(
        check_id=spec.id,
        state_id=look.state_id,
        instance_id=look.instance_id,
        service_id=spec.service_id,
        was=turn.was,
        now=turn.now,
        at=turn.at,
        error=error,
    )


def _update(rows: dict[UUID, dict[str, Any]], decided: dict[UUID, Any]) -> list[UUID]:
    """Store columns where the claim still holds; return the keys of those rows."""
    fences = {key: decided[key][0].look.fence for key in rows}
    if connection.vendor != "postgresql":
        return [
            key
            for key, columns in rows.items()
            if CheckState.objects.filter(pk=key, fence=fences[key]).update(
                **columns, lease_until=None
            )
        ]
    document = json.dumps(
        [{"id": k, "fence": fences[k], **columns} for k, columns in rows.items()], default=str
    )
    with prepared_cursor() as cursor:
        cursor.execute(_STATEMENT, [document])
        return [key for (key,) in cursor.fetchall()]


_STATEMENT = (
    "UPDATE check_state AS s SET lease_until = NULL, "  # noqa: S608
    + ", ".join(f"{name} = v.{name}" for name in _WRITTEN)
    + " FROM jsonb_to_recordset(%s::jsonb) AS v(id uuid, fence bigint, "
    + ", ".join(f"{name} {kind}" for name, kind in _WRITTEN.items())
    + ") WHERE s.id = v.id AND s.fence = v.fence RETURNING s.id"
)


def _result_of(seen: Seen) -> HealthCheckResult:
    look = seen.look
    return HealthCheckResult(
        health_check_id=look.spec.id,
        instance_id=look.instance_id,
        checked_at=seen.at,
        outcome=seen.outcome,
        latency_ms=seen.latency_ms,
        status_code=seen.status_code,
        error_kind=seen.error_kind,
        error=seen.error[:LONGEST_ERROR],
        in_maintenance=look.in_maintenance,
        late_ms=seen.late_ms,
        signal=seen.signal,
        message=seen.message,
    )


def put_off(rows: Iterable[tuple[UUID, int, datetime | None]]) -> None:
    """Let go of what was claimed and is not looked at: the key, the fence, when it is due next."""
    for key, fence, due in rows:
        CheckState.objects.filter(pk=key, fence=fence).update(next_due_at=due, lease_until=None)


def forget_results(*, now: datetime) -> int:
    """Delete what was seen more than a week ago, a batch at a time; return how many."""
    dropped = 0
    for _ in range(MOST_BATCHES):
        batch = drop_older(HealthCheckResult.objects.all(), days=RESULTS_DAYS, now=now)
        dropped += batch
        if batch < LARGEST_PURGE:
            break
    return dropped
