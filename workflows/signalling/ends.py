"""Executions that end: told to every process, and to whoever waits for one in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from uuid import UUID

from core.api.waiters import Waiters
from core.news import NewsItem, own_news
from workflows.models import ENDED, WorkflowExecution

NEWS = "executions_ended"
# As many as a message of PostgreSQL takes.
MOST_TOLD = 200
MOST_ASKED = 500


def tell_ended(execution_ids: Sequence[str]) -> None:
    """Tell every process that these executions ended, if it can be told."""
    for some in _parts(execution_ids, MOST_TOLD):
        own_news().tell(NEWS, " ".join(some))


def when_ended(execution_id: UUID, *, seconds: float) -> Future[bool]:
    """Return what is done once an execution has ended or is gone, or so many seconds are over."""
    own_news().hear(NEWS, _hear)
    own_news().listen()
    return waiting.wait(str(execution_id), seconds=seconds)


def _hear(told: NewsItem) -> None:
    if told.subject:
        waiting.wake(told.subject.split())
    else:
        waiting.look_now()


def find_ended(execution_ids: Iterable[str]) -> set[str]:
    """Return those that have ended, or are not there."""
    found: set[str] = set()
    for some in _parts(list(execution_ids), MOST_ASKED):
        rows = WorkflowExecution.objects.filter(pk__in=some).exclude(status__in=ENDED)
        found |= set(some) - {str(pk) for pk in rows.values_list("pk", flat=True)}
    return found


def _parts(ids: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    return (ids[start : start + most] for start in range(0, len(ids), most))


# Who waits in this process.
waiting = Waiters("executions-ended", find_ended)
