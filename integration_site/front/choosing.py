"""Reads that are answered by a choice among many, each answer as Django would give it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any, Protocol, TypeVar

import structlog
from django.db import Error, connection

from core.api.exchange import WebAnswer, WebRequest
from core.batches import end_database_threads
from core.cache import BoundedCache
from core.news import ChangeIndex, Concern
from integration_site.front.django_pool import DjangoPool
from integration_site.front.keeping import Reads, for_everybody, with_rate
from integration_site.front.response_cache import LONGEST_SECONDS, Made, ResponseCache

logger = structlog.get_logger(__name__)

T = TypeVar("T")
# So many questions have their choices remembered, of about so many bytes for each that is chosen.
MOST_QUESTIONS = 100
BYTES_OF_EACH = 6_000
# The log of changes is not believed for longer: somebody may have written past it.
ANEW_SECONDS = 30.0


class Choices(Protocol):
    """What is chosen from. `read…` are called in a thread, all else on the loop."""

    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    @property
    def fields(self) -> frozenset[str]: ...
    def choose(self) -> Any: ...
    def render(self, choice: Any, /, *, oldest: float) -> bytes | None: ...
    def read(self, keys: Collection[str], /) -> Any: ...
    def read_changes(self) -> Any | None: ...
    def apply(self, read: Any, /) -> None: ...


class _Question:
    """Who ask for the same: what they choose from, and an answer whose headers hold for each.

    `change` was the newest one before all of it was read, those of `changes` before its subject was
    read again.
    """

    def __init__(self, choices: Choices, sample: WebAnswer, change: int) -> None:
        self.choices = choices
        self.sample = sample
        self.ask_anew_at = monotonic() + ANEW_SECONDS
        self.to_read: dict[str, asyncio.Future[None]] = {}
        self.reading: asyncio.Task[None] | None = None
        self._change = change
        self._changes: dict[str, int] = {}
        self._answers: dict[str, WebAnswer] = {}

    def change_of(self, key: str) -> int:
        """Return the number of a change from before what is known of this one was read."""
        return self._changes.get(key, self._change)

    def apply(self, read: Any, change: int) -> None:
        """Take over what was read after this change."""
        self.choices.apply(read)
        self._changes.update(dict.fromkeys(read.keys, change))

    def answer(self, key: str, body: bytes) -> WebAnswer:
        answer = self._answers.get(key)
        if answer is None or answer.body != body:
            etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
            headers = tuple(
                (name, etag if name == "ETag" else value) for name, value in self.sample.headers
            )
            answer = self._answers[key] = replace(self.sample, headers=headers, body=body)
        return answer


class ChosenReads:
    """Answers reads of callers with a key by a choice for each.

    `read_choices` gives what those choose from who ask for a path and a query. Who may be chosen is
    as it was within the last second, and known changes are in it; so is what is said of a choice.
    """

    def __init__(
        self,
        changes: ChangeIndex,
        django: DjangoPool,
        reads: Reads,
        read_choices: Callable[[str, str], Choices | None],
    ) -> None:
        self._changes = changes
        self._cache: ResponseCache[_Question | WebAnswer] = ResponseCache(changes)
        self._django = django
        self._reads = reads
        self._read_choices = read_choices
        self._questions: BoundedCache[Hashable, _Question] = BoundedCache(MOST_QUESTIONS)
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="choices")

    async def answer(self, request: WebRequest) -> WebAnswer | None:
        if "if-none-match" in request.headers:
            return None
        await self._reads.learn_key(request)
        admitted = self._reads.admit(request)
        if admitted is None:
            return None
        question = await self._cache.get(admitted.key, partial(self._make, admitted.key, request))
        answer = await self._choose(question) if isinstance(question, _Question) else question
        return with_rate(answer, admitted.decision) if answer is not None else None

    def close(self) -> None:
        """End the thread that reads choices."""
        end_database_threads(self._threads)

    async def _choose(self, question: _Question) -> WebAnswer | None:
        """Return an answer; None where the choice went while it was read again."""
        choice = question.choices.choose()
        oldest = monotonic() - LONGEST_SECONDS
        body = None
        if self._changes.is_unchanged(
            question.change_of(choice.service_id), Concern(frozenset((choice.service_id,)))
        ):
            body = question.choices.render(choice, oldest=oldest)
        if body is None:
            await self._read_again(question, choice.service_id)
            body = question.choices.render(choice, oldest=oldest)
        if body is None:
            question.ask_anew_at = 0.0  # it went unheard
            return None
        return question.answer(choice.instance_id, body)

    async def _make(self, key: Hashable, request: WebRequest) -> Made[_Question | WebAnswer]:
        question = self._questions.get(key)
        if question is None or not await self._catch_up(question):
            made = await self._ask(request)
            if isinstance(made, WebAnswer):
                return Made(made, 0, for_all=False)
            question = self._questions[key] = made
        choices = question.choices
        return Made(question, len(choices) * BYTES_OF_EACH, Concern(fields=choices.fields))

    async def _catch_up(self, question: _Question) -> bool:
        """Take over what changed; False where the question has to be asked anew."""
        if monotonic() >= question.ask_anew_at:
            return False
        change = self._changes.latest
        read = await self._in_thread(question.choices.read_changes)
        if read is None:
            return False
        question.apply(read, change)
        return bool(question.choices)

    async def _ask(self, request: WebRequest) -> _Question | WebAnswer:
        """Return what is chosen from; the answer of Django where there is nothing to choose."""
        sample = for_everybody(await self._django.answer(request, caller="reads"))
        if sample.status != 200:
            return sample
        change = self._changes.latest
        read = partial(self._read_choices, request.path, request.query)
        choices = await self._in_thread(read)
        return _Question(choices, sample, change) if choices else sample

    async def _read_again(self, question: _Question, key: str) -> None:
        """Read a choice again, together with all that are waited for at the same time."""
        if key not in question.to_read:
            question.to_read[key] = asyncio.get_running_loop().create_future()
        waited = question.to_read[key]
        if question.reading is None:
            question.reading = asyncio.create_task(self._read_waited(question))
        await asyncio.shield(waited)

    async def _read_waited(self, question: _Question) -> None:
        try:
            while question.to_read:
                await asyncio.sleep(0)  # those that the loop has read already come along
                batch, question.to_read = question.to_read, {}
                change = self._changes.latest
                read = await self._in_thread(partial(question.choices.read, list(batch)))
                if read is not None:
                    question.apply(read, change)
                for waited in batch.values():
                    waited.set_result(None)
        finally:
            question.reading = None

    async def _in_thread(self, work: Callable[[], T]) -> T | None:
        """Do what asks the database; None where that fails: then Django is asked, and tells why."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _try, work)


def _try(work: Callable[[], T]) -> T | None:
    """Work in a thread that keeps its connection to the database for as long as it is good."""
    try:
        return work()
    except Error as error:
        logger.warning("choices_not_read", error=str(error)[:300])
        connection.close()
        return None
