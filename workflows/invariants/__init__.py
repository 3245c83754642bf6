"""Checks what always holds of executions, whatever dies, against the database.

I1 to I7 are read in pages of executions, each page in one transaction that sees one moment, so the
checks may run beside a hub at work. Every query is bounded by the page.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Q

from core.db.clock import database_now
from workflows.definition import Definition
from workflows.invariants.executions import (
    check_ends,
    check_history,
    check_progress,
    missing_executions,
)
from workflows.invariants.model import MEANINGS, Page, Violation
from workflows.invariants.receipts import check_receipts
from workflows.invariants.secrets import check_secrets
from workflows.invariants.steps import check_attempts, check_fences, check_keys, check_results
from workflows.models import WorkflowExecution

__all__ = [
    "CHECKS",
    "MEANINGS",
    "Page",
    "Violation",
    "check_executions",
    "check_receipts",
    "check_secrets",
    "missing_executions",
]

PAGE_SIZE = 500
CHECKS: Mapping[str, Callable[[Page], Iterator[Violation]]] = {
    "I1": check_results,
    "I2": check_progress,
    "I3": check_history,
    "I4": check_ends,
    "I5": check_keys,
    "I6": check_fences,
    "I7": check_attempts,
}


def check_executions(
    *,
    since: datetime | None = None,
    page_size: int = PAGE_SIZE,
    on_page: Callable[[int], None] = lambda _: None,
) -> Iterator[Violation]:
    """Check every execution made since then, oldest first; `on_page` hears how many a page had."""
    definitions: dict[Any, Definition | None] = {}
    last: tuple[datetime, Any] | None = None
    while True:
        with _one_moment():
            left = WorkflowExecution.objects.order_by("created_at", "id")
            if since is not None:
                left = left.filter(created_at__gte=since)
            if last is not None:
                at, key = last
                left = left.filter(Q(created_at__gt=at) | Q(created_at=at, id__gt=key))
            keys = list(left.values_list("created_at", "id")[:page_size])
            if not keys:
                return
            page = Page([key for _, key in keys], database_now(), definitions)
            violations = [violation for check in CHECKS.values() for violation in check(page)]
        last = keys[-1]
        on_page(len(keys))
        yield from violations


@contextlib.contextmanager
def _one_moment() -> Iterator[None]:
    """A transaction that reads as of one moment, unless the caller has one open."""
    is_own = not connection.in_atomic_block
    with transaction.atomic():
        if is_own and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield
