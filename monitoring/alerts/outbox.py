"""The outbox: messages are sent by whoever claims them, until they arrive or are given up."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import connections, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from core import audit
from core.db.models import get_by_id
from core.db.signs import RowSigns
from core.exceptions import Conflict
from core.failpoints import failpoint
from core.models import AuditVerb
from monitoring.alerts.sending import Outcome, send_message
from monitoring.alerts.wire import AlertMessage
from monitoring.alerts.wording import word_test
from monitoring.models import (
    UNSENT,
    AlertChannel,
    AlertDelivery,
    DeliveryReason,
    DeliveryState,
    Severity,
)

logger = structlog.get_logger(__name__)

AT_ONCE = 8
LEASE = timedelta(seconds=60)
GIVEN_UP_AFTER = timedelta(hours=24)
FIRST_WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 900.0
LONGEST_RETRY_AFTER_SECONDS = 3600.0
KEPT = timedelta(days=30)
MOST_FORGOTTEN = 500
_UNSENT = RowSigns(unsent="SELECT 1 FROM alert_delivery WHERE state IN ('PENDING', 'SENDING')")


def seconds_to_wait(attempts: int, retry_after: float | None, *, share: float) -> float:
    """Return how long to wait after so many attempts (pure); `share` of 0 to 1 spreads it.

    What the receiver asks for goes before what would be waited otherwise.
    """
    if retry_after is not None:
        return min(max(retry_after, 1.0), LONGEST_RETRY_AFTER_SECONDS)
    longest = min(FIRST_WAIT_SECONDS * 2.0 ** min(attempts - 1, 16), LONGEST_WAIT_SECONDS)
    return longest * (0.5 + share / 2)


class BackgroundSender:
    """Sends in threads of its own: a receiver that hangs holds up no sweep."""

    def __init__(self, threads: int = AT_ONCE) -> None:
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, "alerts")
        self._under_way: set[Future[None]] = set()

    def send_due(self, *, now: datetime) -> int:
        """Begin to send what is due, as far as threads are free; return how many messages."""
        self._under_way = {each for each in self._under_way if not each.done()}
        if not _UNSENT.seen():
            return 0
        claimed = claim_due(now=now, limit=self._threads - len(self._under_way))
        self._under_way |= {self._executor.submit(_send_alone, row) for row in claimed}
        return len(claimed)

    def wait(self) -> None:
        """Wait until what was begun is done."""
        wait(self._under_way)


sender = BackgroundSender()


def claim_due(*, now: datetime, limit: int) -> list[AlertDelivery]:
    """Claim at most `limit` messages whose turn it is."""
    if limit <= 0:
        return []
    waiting = list(_waiting(now)[:limit])
    return [row for row in _within_rates(waiting, now) if _claim(row, now)]


def _waiting(now: datetime) -> QuerySet[AlertDelivery]:
    """Return what is due; of each subject the oldest, so that its end is not told first."""
    due = Q(state=DeliveryState.PENDING, next_attempt_at__lte=now)
    abandoned = Q(state=DeliveryState.SENDING, lease_until__lte=now)
    older = AlertDelivery.objects.filter(
        channel=OuterRef("channel"),
        group_key=OuterRef("group_key"),
        state__in=UNSENT,
        id__lt=OuterRef("id"),
    )
    rows = AlertDelivery.objects.filter(due | abandoned, channel__enabled=True)
    return rows.exclude(Exists(older)).select_related("channel").order_by("next_attempt_at")


def _within_rates(rows: Sequence[AlertDelivery], now: datetime) -> list[AlertDelivery]:
    """Leave out what would be more than a channel takes a minute."""
    channels = {row.channel_id for row in rows}
    sent = AlertDelivery.objects.filter(
        channel__in=channels, state=DeliveryState.SENT, sent_at__gt=now - timedelta(minutes=1)
    )
    count = Counter(sent.values_list("channel", flat=True)) if channels else Counter()
    passed = []
    for row in rows:
        if count[row.channel_id] < row.channel.per_minute:
            count[row.channel_id] += 1
            passed.append(row)
    return passed


def _claim(row: AlertDelivery, now: datetime) -> bool:
    """Claim it conditionally: of two sweeps one sends; a dead one's lease ends by itself."""
    same = AlertDelivery.objects.filter(
        pk=row.pk, state=row.state, attempts=row.attempts, lease_until=row.lease_until
    )
    claimed = same.update(
        state=DeliveryState.SENDING, lease_until=now + LEASE, attempts=F("attempts") + 1
    )
    row.attempts += 1
    return claimed == 1


def _send_alone(row: AlertDelivery) -> None:
    try:
        failpoint("C20")
        outcome = send_message(row.channel, message_of(row))
        failpoint("C21")
        record_outcome(row, outcome, now=timezone.now())
        failpoint("C24")
    except Exception:
        logger.exception("alert_not_sent", channel=row.channel.name, delivery=str(row.pk))
    finally:
        connections.close_all()


def message_of(row: AlertDelivery) -> AlertMessage:
    """Return a message as it is sent."""
    return AlertMessage(
        id=row.pk,
        reason=DeliveryReason(row.reason),
        severity=Severity(row.severity),
        group_key=row.group_key,
        title=row.title,
        text=row.text,
        link=row.incidents[0].get("link", "") if row.incidents else "",
        incidents=row.incidents,
    )


def record_outcome(row: AlertDelivery, outcome: Outcome, *, now: datetime) -> None:
    """Store how an attempt went, unless somebody else claimed the message meanwhile."""
    over = now - row.created_at >= GIVEN_UP_AFTER
    share = random.uniform(0, 1)  # noqa: S311 (spreads attempts, protects nothing)
    pause = seconds_to_wait(row.attempts, outcome.retry_after_seconds, share=share)
    state = DeliveryState.SENT if outcome.is_sent else DeliveryState.PENDING
    if not outcome.is_sent and (outcome.is_permanent or over):
        state = DeliveryState.DEAD
    with transaction.atomic():
        own = AlertDelivery.objects.filter(
            pk=row.pk, state=DeliveryState.SENDING, attempts=row.attempts
        )
        recorded = own.update(
            state=state,
            lease_until=None,
            next_attempt_at=now + timedelta(seconds=pause),
            status_code=outcome.status_code,
            response=outcome.text[:500],
            sent_at=now if outcome.is_sent else None,
            updated_at=now,
        )
        if recorded:
            _note_on_channel(row.channel_id, outcome, now=now)
    about = {"channel": row.channel.name, "delivery": str(row.pk), "attempt": row.attempts}
    if outcome.is_sent:
        logger.info("alert_sent", **about)
    else:
        logger.warning("alert_failed", **about, error=outcome.text, given_up=state == "DEAD")


def _note_on_channel(pk: UUID, outcome: Outcome, *, now: datetime) -> None:
    # Its own time of change stays: that is when somebody changed it, and its ETag.
    row = AlertChannel.objects.filter(pk=pk)
    if outcome.is_sent:
        row.update(failures=0, last_error="", last_sent_at=now)
    else:
        row.update(failures=F("failures") + 1, last_error=outcome.text[:500])


# --- By hand ---


def get_delivery(reference: str) -> AlertDelivery:
    """Raises: NotFound."""
    return get_by_id(AlertDelivery.objects.select_related("channel"), reference, "alert message")


def send_test(channel: AlertChannel) -> AlertDelivery:
    """Send a test now, also through a channel that is switched off; return how it went."""
    now = timezone.now()
    wording = word_test(channel.name)
    with transaction.atomic():
        row = AlertDelivery.objects.create(
            channel=channel,
            reason=DeliveryReason.TEST,
            state=DeliveryState.SENDING,
            severity=wording.severity,
            group_key=f"test:{channel.pk}:{now.timestamp()}",
            title=wording.title,
            text=wording.text,
            attempts=1,
            next_attempt_at=now,
            lease_until=now + LEASE,
        )
        audit.record(AuditVerb.TESTED, channel)
    outcome = send_message(channel, message_of(row))
    # A test is for who waits for it: it is not tried again.
    final = Outcome(outcome.is_sent, outcome.text, outcome.status_code, is_permanent=True)
    record_outcome(row, final, now=timezone.now())
    return get_delivery(str(row.pk))


def retry_delivery(row: AlertDelivery) -> AlertDelivery:
    """Have a message that was given up sent once more.

    Raises:
        Conflict: it was not given up.
    """
    now = timezone.now()
    with transaction.atomic():
        dead = AlertDelivery.objects.filter(pk=row.pk, state=DeliveryState.DEAD)
        if not dead.update(state=DeliveryState.PENDING, next_attempt_at=now, updated_at=now):
            raise Conflict("Only a message that was given up is sent again by hand.")
        audit.record(AuditVerb.RETRIED, row)
    return get_delivery(str(row.pk))


def forget_deliveries(*, now: datetime) -> int:
    """Forget messages that are long past, some at a time."""
    old = AlertDelivery.objects.filter(created_at__lt=now - KEPT).exclude(state__in=UNSENT)
    keys = list(old.order_by("id").values_list("pk", flat=True)[:MOST_FORGOTTEN])
    return AlertDelivery.objects.filter(pk__in=keys).delete()[0] if keys else 0
