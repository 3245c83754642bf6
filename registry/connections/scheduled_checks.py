"""Tests of connections: on demand, and by themselves when they are due."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connections as databases
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from core import audit
from core.mediator import mediator
from core.models import AuditVerb
from registry.calls.targets.connection_targets import refuse_disabled
from registry.connections.connection_check import CheckResult, try_connection
from registry.models import Connection, ConnectionStatus

logger = structlog.get_logger(__name__)

# Failures in a row from which on a connection that worked is in ERROR.
FAILURES_TO_ERROR = 3
# A sweep holds one of the few threads of a worker: what is left waits for the next.
BATCH = 24
AT_ONCE = 12
SWEEPER = "periodic test"

Try = Callable[[Connection], CheckResult]
Asked = tuple[Connection, CheckResult]
Run = Callable[[Callable[[], Asked]], Asked]


def run_test(connection: Connection, *, actor: str, run: Run | None = None) -> dict[str, Any]:
    """Test a connection now, record how it went, and return it as the API answers it.

    `run` carries out what asks the connection, which may take its time.

    Raises:
        ConnectionDisabledError: it is switched off.
    """

    def ask() -> Asked:
        refuse_disabled(connection)
        return connection, try_connection(connection, actor=actor)

    tested, check = run(ask) if run else ask()
    with transaction.atomic():
        result = record_check(tested, check, now=timezone.now())
        audit.record(AuditVerb.TESTED, tested, changes={"status": result["status"]})
    return result


def status_after(was: str, failures: int, check: CheckResult) -> str:
    """Return the status after a test; `failures` in a row failed, with this one (pure)."""
    if check.success:
        return str(ConnectionStatus.DEGRADED if check.slow else ConnectionStatus.CONNECTED)
    worked = was in (ConnectionStatus.CONNECTED, ConnectionStatus.DEGRADED)
    wavers = worked and failures < FAILURES_TO_ERROR
    return str(ConnectionStatus.DEGRADED if wavers else ConnectionStatus.ERROR)


def record_check(connection: Connection, check: CheckResult, *, now: datetime) -> dict[str, Any]:
    """Put what a test said on the row, unless that was changed meanwhile; return it whole."""
    with transaction.atomic():
        row = Connection.objects.select_for_update().filter(pk=connection.pk).first()
        if row is None or row.updated_at != connection.updated_at:
            was, failures = connection.status, connection.check_failures
            status = status_after(was, failures + (not check.success), check)
            return _described(check, status=status, now=now)
        failures = 0 if check.success else row.check_failures + 1
        status = status_after(row.status, failures, check)
        result = _described(check, status=status, now=now)
        # The row's own time of change stays: that is when somebody changed it, and its ETag.
        Connection.objects.filter(pk=row.pk).update(
            status=status,
            check_failures=min(failures, 1_000_000),
            last_checked_at=now,
            last_error="" if check.success else check.answered[:1000],
            last_result=result,
        )
        if status != row.status:
            _tell(row, status, check)
    return result


def _described(check: CheckResult, *, status: str, now: datetime) -> dict[str, Any]:
    return {
        "tried": check.tried,
        "took_ms": check.took_ms,
        "answered": check.answered,
        "advice": check.advice,
        "success": check.success,
        "status": str(status),
        "checked_at": now.isoformat().replace("+00:00", "Z"),
    }


def _tell(row: Connection, status: str, check: CheckResult) -> None:
    about = {
        "connection": row.name,
        "old_status": row.status,
        "new_status": str(status),
        "cause": "" if check.success else check.answered,
    }
    log = logger.warning if status == ConnectionStatus.ERROR else logger.info
    transaction.on_commit(lambda: log("connection_status_changed", **about), robust=True)
    mediator.publish_on_commit("connection_status_changed", connection_id=row.pk, **about)


# --- By themselves ---


def run_due_tests(*, now: datetime, limit: int = BATCH, attempt: Try | None = None) -> int:
    """Test at most `limit` connections whose turn it is; return how many were tested."""
    claimed = [row for row in _waiting(now)[:limit] if _claim(row, now)]
    if claimed:
        _test_all(claimed, attempt or _try_alone)
    return len(claimed)


def _waiting(now: datetime) -> Any:
    rows = Connection.objects.select_related("credential").filter(
        check_interval_seconds__gt=0, disabled_at__isnull=True, next_check_at__lte=now
    )
    return rows.order_by("next_check_at")


def _claim(row: Connection, now: datetime) -> bool:
    """Claim it conditionally: of two sweeps one tests; a dead one leaves it for the next."""
    due = now + timedelta(seconds=row.check_interval_seconds)
    unclaimed = Connection.objects.filter(
        pk=row.pk, next_check_at=row.next_check_at, disabled_at__isnull=True
    )
    return unclaimed.update(next_check_at=due, updated_at=F("updated_at")) == 1


def _try_alone(row: Connection) -> CheckResult:
    return try_connection(row, actor=SWEEPER)


def _test_all(rows: Sequence[Connection], attempt: Try) -> None:
    """Test a few at once; what is slow holds up only its own kind of thread."""

    def work(row: Connection) -> None:
        try:
            record_check(row, attempt(row), now=timezone.now())
        except Exception:
            logger.exception("connection_not_tested", connection=row.name)
        finally:
            databases.close_all()

    with ThreadPoolExecutor(AT_ONCE, "connection-sweep") as threads:
        list(threads.map(work, rows))
