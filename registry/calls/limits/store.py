"""Keeps what is used of limits in the database, by its time: for hubs without Redis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import DateTimeField as Moment
from django.db.models import ExpressionWrapper, QuerySet
from django.db.models.functions import Now

from registry.models import CallRate, CallSeat
from registry.policies.rate_limits import CallLimits, CallTurn, next_turn

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
# Rows of seats are made as they are needed, so many at once.
MADE_AT_ONCE = 16


def take_turn(subject_id: str, limits: CallLimits, wait_seconds: float) -> CallTurn:
    """Pay for one call at the rate of a service or connection."""
    key = UUID(subject_id)
    with transaction.atomic():
        row = _locked_rate(key)
        if row is None:
            CallRate.objects.bulk_create(
                [CallRate(subject_id=key, paid_until=LONG_AGO)], ignore_conflicts=True
            )
            row = _locked_rate(key)
        assert row is not None
        paid_until, now = row
        turn = next_turn(
            paid_until.timestamp(), limits, now=now.timestamp(), wait_seconds=wait_seconds
        )
        if turn.granted:
            paid = datetime.fromtimestamp(turn.paid_until, tz=UTC)
            CallRate.objects.filter(subject_id=key).update(paid_until=paid, updated_at=Now())
    return turn


def _locked_rate(key: UUID) -> tuple[datetime, datetime] | None:
    rows = CallRate.objects.select_for_update().filter(subject_id=key).annotate(read_at=Now())
    return rows.values_list("paid_until", "read_at").first()


def take_seat(subject_id: str, most: int, owner: str, lease_seconds: float) -> bool:
    """Take one of so many seats; it is free again when the lease is over, whatever happens."""
    key = UUID(subject_id)
    with transaction.atomic():
        if _sit(key, most, owner, lease_seconds):
            return True
        existing = CallSeat.objects.filter(subject_id=key, number__lt=most).count()
        if existing >= most:
            return False
        # Those that are missing may be anywhere below, where the limit was raised or rows are gone.
        taken = set(CallSeat.objects.filter(subject_id=key).values_list("number", flat=True))
        numbers = [n for n in range(most) if n not in taken][:MADE_AT_ONCE]
        CallSeat.objects.bulk_create(
            [CallSeat(subject_id=key, number=n, until=LONG_AGO) for n in numbers],
            ignore_conflicts=True,
        )
        return _sit(key, most, owner, lease_seconds)


def _sit(key: UUID, most: int, owner: str, lease_seconds: float) -> bool:
    free = _free(CallSeat.objects.filter(subject_id=key, number__lt=most)).order_by("number")
    skips = connection.features.has_select_for_update_skip_locked
    pk = free.select_for_update(skip_locked=skips).values_list("pk", flat=True).first()
    if pk is None:
        return False
    seat = _free(CallSeat.objects.filter(pk=pk))
    return seat.update(owner=owner, until=_in(lease_seconds), updated_at=Now()) == 1


def _free(seats: QuerySet[CallSeat]) -> QuerySet[CallSeat]:
    return seats.filter(until__lte=Now())


def renew_seats(owners: list[str], lease_seconds: float) -> None:
    """Keep seats for another lease."""
    CallSeat.objects.filter(owner__in=owners).update(until=_in(lease_seconds), updated_at=Now())


def leave_seat(owner: str) -> None:
    """Give a seat back."""
    CallSeat.objects.filter(owner=owner).update(until=LONG_AGO, owner="", updated_at=Now())


def _in(seconds: float) -> ExpressionWrapper:
    return ExpressionWrapper(Now() + timedelta(seconds=seconds), output_field=Moment())


def forget_limits(*, older_than: timedelta) -> int:
    """Remove what counts for nothing any more: nobody called for so long."""
    past = Now() - timedelta(seconds=older_than.total_seconds())
    rates = CallRate.objects.filter(paid_until__lt=past, updated_at__lt=past).delete()[0]
    seats = CallSeat.objects.filter(until__lt=past, updated_at__lt=past).delete()[0]
    return rates + seats
