import asyncio
import threading
from collections.abc import Sequence

import pytest

from core.api.exchange import WebAnswer, WebRequest
from integration_site.front.gathering import Gatherer
from tests.support.waiting import PATIENCE


def request_for(path: str) -> WebRequest:
    scope = {"method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    return WebRequest(scope, path, {}, "id")


class Batches:
    """Answers with the path; the first batch goes on until it is let go."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.began = threading.Event()
        self.may_end = threading.Event()

    def handle(self, requests: Sequence[WebRequest]) -> list[WebAnswer | None]:
        self.sizes.append(len(requests))
        self.began.set()
        assert self.may_end.wait(PATIENCE)
        if any(request.path == "/away" for request in requests):
            raise OSError("The database is away.")
        return [
            None if request.path == "/odd" else WebAnswer(200, (), request.path.encode())
            for request in requests
        ]


async def ask_during_batch(gatherer: Gatherer, batches: Batches, *paths: str) -> list[object]:
    """Ask for these while the batch of one more request is worked on; return their answers."""
    first = asyncio.create_task(gatherer.answer(request_for("/first")))
    await asyncio.to_thread(batches.began.wait, 10)
    rest = [asyncio.create_task(gatherer.answer(request_for(path))) for path in paths]
    await asyncio.sleep(0)
    batches.may_end.set()
    await first
    return list(await asyncio.gather(*rest))


def bodies(answers: list[object]) -> list[object]:
    return [answer.body if isinstance(answer, WebAnswer) else answer for answer in answers]


@pytest.fixture
def batches() -> Batches:
    return Batches()


async def test_what_arrives_during_a_batch_is_the_next_batch(batches: Batches):
    gatherer = Gatherer(batches.handle)
    answers = await ask_during_batch(gatherer, batches, "/a", "/odd", "/b")
    assert bodies(answers) == [b"/a", None, b"/b"]
    assert batches.sizes == [1, 3]
    gatherer.close()


async def test_no_batch_is_larger_than_told(batches: Batches):
    gatherer = Gatherer(batches.handle, most=2)
    answers = await ask_during_batch(gatherer, batches, "/a", "/b", "/c")
    assert bodies(answers) == [b"/a", b"/b", b"/c"]
    assert batches.sizes == [1, 2, 1]
    gatherer.close()


async def test_django_is_asked_for_all_of_a_batch_that_raises(batches: Batches):
    gatherer = Gatherer(batches.handle)
    assert await ask_during_batch(gatherer, batches, "/a", "/away") == [None, None]
    assert bodies([await gatherer.answer(request_for("/c"))]) == [b"/c"]
    gatherer.close()


async def test_beyond_the_queue_requests_are_refused_at_once(batches: Batches):
    gatherer = Gatherer(batches.handle, waiting=1)
    answers = await ask_during_batch(gatherer, batches, "/a", "/b")
    assert bodies(answers[:1]) == [b"/a"]
    refused = answers[1]
    assert isinstance(refused, WebAnswer)
    assert refused.status == 503
    assert ("Retry-After", "1") in refused.headers
    gatherer.close()


async def test_a_caller_who_left_holds_up_nobody(batches: Batches):
    gatherer = Gatherer(batches.handle)
    gone = asyncio.create_task(gatherer.answer(request_for("/gone")))
    await asyncio.to_thread(batches.began.wait, 10)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    batches.may_end.set()
    assert bodies([await gatherer.answer(request_for("/a"))]) == [b"/a"]
    gatherer.close()


async def test_several_threads_work_on_a_batch_each(batches: Batches):
    gatherer = Gatherer(batches.handle, threads=2)
    first = asyncio.create_task(gatherer.answer(request_for("/a")))
    await asyncio.to_thread(batches.began.wait, 10)
    batches.began.clear()
    second = asyncio.create_task(gatherer.answer(request_for("/b")))
    assert await asyncio.to_thread(batches.began.wait, 10)  # though the first still goes on
    batches.may_end.set()
    assert bodies(list(await asyncio.gather(first, second))) == [b"/a", b"/b"]
    gatherer.close()
