"""Keeps what was said in requests: sealed, in batches, by a thread that no request waits for."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import connections
from django.utils import timezone

from core.batches import end_database_threads
from core.db.retention import drop_first
from core.exceptions import NotFound
from core.vault import Secret
from model_orchestration.adapters.base import ModelCall
from model_orchestration.contents import ContentRules, kept_text
from model_orchestration.models.content import ContentKept, RequestContent
from model_orchestration.models.request import Request
from registry.credentials.sealing import hold_parts, open_parts

logger = structlog.get_logger(__name__)

MOST_TOGETHER = 64
# What may wait to be kept. Beyond that it is not: a database that is slow must not fill the memory.
MOST_WAITING_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SaidText:
    """What was said in a request, to be kept by some rules; about so many bytes."""

    id: UUID
    rules: ContentRules
    call: ModelCall = field(repr=False)
    answer: Any = field(repr=False)
    size: int


class ContentWriter:
    """Keeps what was said, soon: what waits is lost if the process is killed right then."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="contents")
        self._waiting: deque[SaidText] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def put(self, said: SaidText) -> None:
        """Have it kept; what there is no room for is not, and the log says so."""
        with self._lock:
            if self._bytes + said.size > MOST_WAITING_BYTES:
                logger.warning("content_not_kept", requests=1, reason="too much waits")
                return
            self._bytes += said.size
            self._waiting.append(said)
        self._executor.submit(self._write_waiting)

    def close(self) -> None:
        """Take no more; what waits is still written."""
        end_database_threads(self._executor)

    def _write_waiting(self) -> None:
        with self._lock:
            count = min(len(self._waiting), MOST_TOGETHER)
            batch = [self._waiting.popleft() for _ in range(count)]
            self._bytes -= sum(each.size for each in batch)
        if not batch:
            return  # an earlier turn took it along
        try:
            keep_contents(batch)
        except Exception as error:
            # No word of the error: it may hold what was said.
            logger.warning("content_not_kept", requests=count, reason=type(error).__name__)
            connections.close_all()


def keep_contents(batch: Sequence[SaidText]) -> None:
    """Store what was said in these requests, as their rules have it."""
    now = timezone.now()
    rows = [_row_of(each, now) for each in batch]
    RequestContent.objects.bulk_create(rows, ignore_conflicts=True)


def _row_of(said: SaidText, now: datetime) -> RequestContent:
    kept = kept_text(said.rules, said.call, said.answer)
    row = RequestContent(
        id=said.id,
        keeps=said.rules.keeps,
        redactions=kept.redactions,
        expires_at=now + said.rules.retention,
    )
    parts = {"question": kept.question, "answer": kept.answer}
    hold_parts(row, {name: Secret(json.dumps(part)) for name, part in parts.items()})
    return row


def read_content(request_id: UUID, *, now: datetime) -> dict[str, Any]:
    """Return what is kept of a request.

    Raises:
        NotFound: nothing is, or no more.
        VaultError: it cannot be opened.
    """
    row = RequestContent.objects.filter(pk=request_id, expires_at__gt=now).first()
    if row is None:
        return _of_an_earlier_system(request_id)
    parts = {name: json.loads(part.reveal()) for name, part in open_parts(row).items()}
    return {
        "request": parts["question"],
        "answer": parts["answer"],
        "keeps": row.keeps,
        "redactions": row.redactions,
        "expires_at": row.expires_at,
    }


def _of_an_earlier_system(request_id: UUID) -> dict[str, Any]:
    """Return what an earlier system kept of a request, which goes with its record."""
    row = Request.objects.filter(pk=request_id).first()
    if row is None or not (row.has_text or row.response_data is not None):
        raise NotFound(
            "Nothing that was said is kept of this request. The content policy of its project says"
            " what is, and for how long."
        )
    return {
        "request": row.request_data,
        "answer": row.response_data,
        "keeps": ContentKept.FULL,
        "redactions": 0,
        "expires_at": None,
    }


def drop_contents(*, now: datetime) -> int:
    """Drop what is kept for long enough, a batch; return how much."""
    return drop_first(RequestContent.objects.filter(expires_at__lt=now).order_by("expires_at"))
