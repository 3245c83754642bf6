"""Requests that wait hold no thread, and are answered as Django answers once the wait is over."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from django.core.wsgi import get_wsgi_application

from core.api.exchange import WebAnswer
from core.api.waiters import Waiters
from core.api_keys import revoke_key
from core.models import ApiKey
from integration_site.front.application import Front
from integration_site.front.django_pool import DjangoPool
from integration_site.front.shortcuts import shortcuts_over
from integration_site.front.waiting import SharedWaits
from registry import services
from registry.discovery import followers
from registry.discovery.base import get_discovery
from registry.models import Integration, Service
from tests import factories
from tests.support.asgi import Answered, ask
from tests.support.connections import make_connection
from tests.support.integrations import own_client, serving
from tests.support.waiting import PATIENCE, until_async
from workflows.models import WorkflowExecution
from workflows.services import Start, start_execution
from workflows.signalling import ends

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.on_servers]


class CountedDjango:
    """Django, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._application = get_wsgi_application()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        self.asked.append(environ["PATH_INFO"])
        return self._application(environ, start_response)


@pytest.fixture
def django() -> CountedDjango:
    return CountedDjango()


@pytest.fixture
def front(django: CountedDjango) -> Iterator[Front]:
    """A front with one thread: whoever held it would keep all the others waiting."""
    pool = DjangoPool(django, threads=1, share=1)
    yield Front(pool, shortcuts_over(pool))
    pool.close()


@pytest.fixture
def plain(django: CountedDjango) -> Iterator[Front]:
    """The same without shortcuts."""
    pool = DjangoPool(django, threads=1, share=1)
    yield Front(pool, {})
    pool.close()


def bearer(role: str = "OPERATOR", **fields: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {factories.make_key(role, **fields)[1]}"}


def begin() -> WorkflowExecution:
    return start_execution(factories.make_workflow(), Start(input={}, context={})).execution


def end(execution_id: UUID) -> None:
    WorkflowExecution.objects.filter(pk=execution_id).update(status="COMPLETED")
    ends.tell_ended([str(execution_id)])


def make_change(status: str = "DEGRADED") -> None:
    services.set_service_status(Service.objects.get(), status, actor="test")


class Hanging:
    """A service that does not answer until it is told to."""

    def __init__(self) -> None:
        self.times_asked = 0
        self.gate = threading.Event()

    def build(self) -> web.Application:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        return application

    async def _answer(self, request: web.Request) -> web.Response:
        self.times_asked += 1
        while not self.gate.is_set():
            await asyncio.sleep(0.01)
        return web.json_response({"ok": True})


def register(url: str) -> None:
    """Have everything that is called slow lead to this URL."""
    factories.make_service("slow", urls=(url,), actions=("go",))
    Integration.objects.create(name="slow", target="slow", action="go")
    make_connection(name="slow", base_url=url)


async def answers(tasks: list[asyncio.Task[Answered]]) -> list[Answered]:
    async with asyncio.timeout(PATIENCE):
        return list(await asyncio.gather(*tasks))


def asking(front: Front, path: str, count: int = 1, **sent: Any) -> list[asyncio.Task[Answered]]:
    return [asyncio.create_task(ask(front, path, **sent)) for _ in range(count)]


@pytest.mark.parametrize("name", ["front", "plain"])
async def test_waiting_read_leaves_the_thread_to_others_and_ends_with_the_execution(
    request: pytest.FixtureRequest, name: str, in_thread: Any
) -> None:
    front = request.getfixturevalue(name)
    headers = await in_thread(bearer)
    execution = await in_thread(begin)
    path = f"/executions/{execution.pk}"
    assert (await ask(front, "/health/alive")).status == 200
    await ask(front, path, **headers)  # the key is known from here on
    tasks = asking(front, f"{path}?wait=60", 50, **headers)
    await until_async(lambda: len(ends.waiting) > 0)
    assert (await ask(front, "/workflows", **headers)).status == 200
    assert not any(task.done() for task in tasks)
    await in_thread(lambda: end(execution.pk))
    received = await answers(tasks)
    fresh = await ask(front, path, **headers)
    assert {each.body for each in received} == {fresh.body}
    assert {each.headers for each in received} == {fresh.headers}
    assert json.loads(fresh.body)["status"] == "COMPLETED"
    await until_async(lambda: len(ends.waiting) == 0)


async def test_those_who_wait_for_one_end_cost_one_run_of_the_view(
    front: Front, django: CountedDjango, in_thread: Any
) -> None:
    headers = await in_thread(bearer)
    execution = await in_thread(begin)
    path = f"/executions/{execution.pk}"
    await ask(front, path, **headers)
    tasks = asking(front, f"{path}?wait=60", 40, **headers)
    await until_async(lambda: len(ends.waiting) > 0)
    django.asked.clear()
    await in_thread(lambda: end(execution.pk))
    assert {each.status for each in await answers(tasks)} == {200}
    assert django.asked == [path]


@pytest.mark.parametrize("wait", ["0", "0.05", "61", "x", "-1", ""])
@pytest.mark.parametrize("which", ["there", "gone", "no-id"])
async def test_read_whose_time_is_up_is_answered_as_by_django(
    front: Front, plain: Front, in_thread: Any, wait: str, which: str
) -> None:
    headers = await in_thread(bearer)
    execution = await in_thread(begin)
    path = {
        "there": f"/executions/{execution.pk}",
        "gone": f"/executions/{UUID(int=5)}",
        "no-id": "/executions/x",
    }[which]
    await ask(front, "/services", **headers)
    by_front = await ask(front, f"{path}?wait={wait}", **headers)
    by_django = await ask(plain, f"{path}?wait={wait}", **headers)
    assert by_front == by_django


async def test_limit_of_a_key_counts_a_waiting_read_once(
    front: Front, plain: Front, in_thread: Any
) -> None:
    headers = await in_thread(lambda: bearer(requests_per_minute=100))
    execution = await in_thread(begin)
    path = f"/executions/{execution.pk}?wait=0.01"
    asked = ((front, "/services"), (front, path), (plain, path))
    received = [await ask(each, where, **headers) for each, where in asked]
    left = [int(answer["ratelimit-remaining"]) for answer in received]
    assert left == [99, 98, 97]


async def test_start_that_waits_is_started_once(front: Front, in_thread: Any) -> None:
    headers = await in_thread(bearer)
    await in_thread(lambda: factories.make_workflow("shout"))
    path = "/workflows/shout/execute"
    tasks = asking(front, path, method="POST", body=b'{"wait": 60}', **headers)
    await until_async(lambda: len(ends.waiting) > 0)
    execution = await in_thread(WorkflowExecution.objects.get)
    assert not tasks[0].done()
    await in_thread(lambda: end(execution.pk))
    (answer,) = await answers(tasks)
    assert (answer.status, json.loads(answer.body)["id"]) == (200, str(execution.pk))
    assert await in_thread(WorkflowExecution.objects.count) == 1


async def test_watches_are_woken_together_and_answered_by_one_run(
    front: Front, plain: Front, django: CountedDjango, in_thread: Any
) -> None:
    headers = await in_thread(bearer)
    await in_thread(lambda: factories.make_service("planner"))
    await in_thread(make_change)
    index = await in_thread(get_discovery().latest_index)
    path = f"/discovery/watch?index={index}"
    await ask(front, "/services", **headers)
    tasks = asking(front, f"{path}&wait=60", 40, **headers)
    await until_async(lambda: len(followers.waiting) > 0)
    django.asked.clear()
    await in_thread(lambda: make_change("ONLINE"))
    received = await answers(tasks)
    assert django.asked == ["/discovery/watch"]
    fresh = await ask(plain, path, **headers)
    assert {each.body for each in received} == {fresh.body}
    assert {each.headers for each in received} == {fresh.headers}
    assert [change["status"] for change in json.loads(fresh.body)["changes"]] == ["ONLINE"]


@pytest.mark.parametrize("what", ["watch", "execution"])
async def test_who_may_no_more_is_not_answered_with_those_who_wait_alike(
    front: Front, in_thread: Any, what: str
) -> None:
    stays, goes = [await in_thread(lambda n=n: bearer(name=n)) for n in ("stays", "goes")]
    await in_thread(lambda: factories.make_service("planner"))
    await in_thread(make_change)
    execution = await in_thread(begin)
    index = await in_thread(get_discovery().latest_index)
    path = {
        "watch": f"/discovery/watch?index={index}&wait=60",
        "execution": f"/executions/{execution.pk}?wait=30",
    }[what]
    waiting = followers.waiting if what == "watch" else ends.waiting
    tasks = asking(front, path, **stays)
    await until_async(lambda: len(waiting) > 0)
    tasks += asking(front, path, **goes)
    await ask(front, "/services", **goes)
    await in_thread(lambda: revoke_key(ApiKey.objects.get(name="goes")))
    await in_thread(lambda: make_change("ONLINE"))
    await in_thread(lambda: end(execution.pk))
    assert [answer.status for answer in await answers(tasks)] == [200, 401]


@pytest.mark.parametrize(
    "query",
    [
        "index={index}&wait=0", "wait=0&index={index}", "index={index}&wait=61", "index=x",
        "index=0&wait=60", "", "index={ahead}", "index={index}&wait=0&index=1", "wrong=1",
        "index=99999999999999999999",
    ],
)  # fmt: skip
async def test_watch_is_answered_as_by_django(
    front: Front, plain: Front, in_thread: Any, query: str
) -> None:
    headers = await in_thread(bearer)
    await in_thread(lambda: factories.make_service("planner"))
    await in_thread(make_change)
    index = await in_thread(get_discovery().latest_index)
    path = f"/discovery/watch?{query.format(index=index, ahead=index + 5)}"
    await ask(front, "/services", **headers)
    assert await ask(front, path, **headers) == await ask(plain, path, **headers)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/services/slow/health?probe=true", b""),
        ("/services/slow/actions/go/execute", b"{}"),
        ("/registry/integrations/slow/execute", b"{}"),
        ("/registry/connections/slow/test", b"{}"),
    ],
)
async def test_service_that_hangs_holds_no_thread(
    front: Front, in_thread: Any, path: str, body: bytes
) -> None:
    headers = await in_thread(bearer)
    service = Hanging()
    with serving(service.build) as url, own_client():
        await in_thread(lambda: register(url))
        method = "POST" if body else "GET"
        tasks = asking(front, path, method=method, body=body, **headers)
        await until_async(lambda: service.times_asked == 1 or tasks[0].done())
        assert not tasks[0].done(), tasks[0].result().body
        assert (await ask(front, "/workflows", **headers)).status == 200
        assert not tasks[0].done()
        service.gate.set()
        (answer,) = await answers(tasks)
        assert answer.status == 200, answer.body
        assert service.times_asked == 1


async def test_waits_of_a_loop_begin_and_ask_once_for_those_alike_and_leave_nothing() -> None:
    there: set[str] = set()
    waiting = Waiters("test", lambda keys: there & set(keys))
    begun: list[str] = []
    asked: list[WebAnswer] = []

    def begin_to_wait(key: str, seconds: float) -> Any:
        begun.append(key)
        return waiting.wait(key, seconds=seconds)

    async def ask_anew() -> WebAnswer:
        asked.append(WebAnswer(200, body=b"%d" % len(asked)))
        return asked[-1]

    waits = SharedWaits(begin_to_wait)

    def wait(key: str, alike: str = "", seconds: float = 60) -> Any:
        return asyncio.create_task(waits.wait(key, alike, ask_anew, seconds=seconds))

    same, other = [wait("a"), wait("a")], wait("a", "other")
    gone = wait("b")
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await wait("a", seconds=0.01)
    gone.cancel()
    await until_async(lambda: len(waiting) == 2)
    assert begun == ["a", "a", "b"]
    assert not any(task.done() for task in (*same, other))
    waiting.wake(["a"])
    async with asyncio.timeout(PATIENCE):
        first, second, third = await asyncio.gather(*same, other)
    assert first is second
    assert [first, third] == asked
    assert len(waiting) == 0
    waiting.stop()
    with pytest.raises(TimeoutError):
        await wait("c")
