"""Events reach whoever may have them as they happen, and whoever comes again misses none."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group, User
from django.core.wsgi import get_wsgi_application
from django.test import Client
from django.utils import timezone

from core.api import events as core_events
from core.api import stopping
from core.models import ApiKey
from integration_site.front import streaming
from integration_site.front.application import Front
from integration_site.front.django_pool import DjangoPool
from integration_site.front.sending import CONNECTION_KEY
from integration_site.front.shortcuts import shortcuts_over
from integration_site.front.worker import FrontServer
from monitoring.findings import Finding
from monitoring.incidents import open_incidents, resolve_incident
from monitoring.models import Incident, Subject
from registry import services
from registry.models import RegistryChange, Service
from service_integration_client import (
    AsyncServiceIntegrationClient,
    SyncServiceIntegrationClient,
)
from tests import factories
from tests.integration_site.front.running import running_front
from tests.support.asgi import ask, scope_of
from tests.support.waiting import PATIENCE
from workflows.models import WorkflowExecution, WorkflowStep
from workflows.services import Start, start_execution

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.on_servers]
Message = dict[str, str]


@pytest.fixture
def front() -> Any:
    pool = DjangoPool(get_wsgi_application(), threads=2, share=2)
    yield Front(pool, shortcuts_over(pool))
    pool.close()


class Stream:
    """An open stream, as a client reads it; `last_event_id` is as the standard keeps it."""

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.headers: dict[str, str] = {}
        self.last_event_id = ""
        self.body = b""
        self.comments = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.task: asyncio.Task[None] | None = None
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._rest = ""

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            self.status.set_result(message["status"])
            return
        await self.gate.wait()
        self.body += message["body"]
        *blocks, self._rest = (self._rest + message["body"].decode()).split("\n\n")
        for block in blocks:
            self._read(block)

    def _read(self, block: str) -> None:
        fields = dict(re.findall(r"^(\w*): ?(.*)$", block, re.MULTILINE))
        self.last_event_id = fields.get("id", self.last_event_id)
        self.comments += "" in fields
        if "data" in fields:
            self._messages.put_nowait({"type": fields["event"], **json.loads(fields["data"])})

    async def next(self) -> Message:
        async with asyncio.timeout(PATIENCE):
            return await self._messages.get()

    async def begun(self) -> None:
        """Wait until it is connected: what happens from here on is in it."""
        async with asyncio.timeout(PATIENCE):
            assert await self.status == 200, self.body
            while not self.comments:
                await asyncio.sleep(0.005)

    async def end(self) -> None:
        assert self.task is not None
        async with asyncio.timeout(PATIENCE):
            await self.task

    @property
    def waiting(self) -> int:
        return self._messages.qsize()


class Peer:
    """The other end of a connection."""

    when_lost: Callable[[], object] | None = None
    has_left = False

    def is_lost(self) -> bool:
        return self.has_left

    def leave(self) -> None:
        self.has_left = True
        if self.when_lost is not None:
            self.when_lost()


@asynccontextmanager
async def streaming_from(
    front: Front, path: str = "/events", **headers: str
) -> AsyncIterator[Stream]:
    stream, peer = Stream(), Peer()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = scope_of(path, **{"accept": "text/event-stream", **headers})  # type: ignore[arg-type]
    stream.task = asyncio.create_task(front({**scope, CONNECTION_KEY: peer}, receive, stream.send))
    try:
        await stream.begun()
        yield stream
    finally:
        peer.leave()
        await stream.end()


def bearer(*scopes: str) -> dict[str, str]:
    return {"authorization": f"Bearer {factories.make_key(scopes=[*scopes])[1]}"}


def change(status: str = "DEGRADED", name: str = "planner") -> None:
    services.set_service_status(Service.objects.get(name=name), status, actor="test")


def start() -> WorkflowExecution:
    return start_execution(factories.make_workflow(), Start(input={}, context={})).execution


def open_one() -> Any:
    open_incidents([Finding(Subject.MASS_EXPIRY, "Silence.")], now=timezone.now())
    return Incident.objects.unresolved().get()


def make_planner() -> None:
    factories.make_service("planner")
    change("ONLINE")


async def test_events_arrive_as_they_happen(front: Front, in_thread: Any) -> None:
    headers = await in_thread(lambda: bearer("registry:read", "workflows:read"))
    await in_thread(make_planner)
    async with streaming_from(front, **headers) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        assert "content-length" not in stream.headers
        await in_thread(change)
        service = await stream.next()
        execution = await in_thread(start)
        started = await stream.next()
        incident = await in_thread(open_one)
        opened = await stream.next()
        await in_thread(lambda: resolve_incident(incident, "They beat.", now=timezone.now()))
        resolved = await stream.next()
    planner = await in_thread(Service.objects.get)
    assert service == {
        "type": "services", "topic": "services", "id": str(planner.pk),
        "name": "planner", "kind": "STATUS_CHANGED", "status": "DEGRADED",
    }  # fmt: skip
    assert started == {
        "type": "executions", "topic": "executions", "id": str(execution.pk),
        "name": execution.workflow_name, "kind": "STARTED", "status": "PENDING",
    }  # fmt: skip
    about = {"type": "incidents", "topic": "incidents", "id": str(incident.pk)}
    about["name"] = "MASS_EXPIRY"
    assert opened == {**about, "kind": "OPENED", "status": "OPEN"}
    assert resolved == {**about, "kind": "RESOLVED", "status": "RESOLVED"}


@pytest.mark.parametrize(
    ("scopes", "query", "topics"),
    [
        (("registry:read", "workflows:read"), "", {"services", "incidents", "executions"}),
        (("registry:read",), "", {"services", "incidents"}),
        (("workflows:read",), "", {"executions"}),
        (("registry:read", "workflows:read"), "?topics=services", {"services"}),
        (("registry:read",), "?topics=incidents,services", {"services", "incidents"}),
    ],
)
async def test_events_are_for_those_who_may_read_their_topic(
    front: Front, in_thread: Any, scopes: tuple[str, ...], query: str, topics: set[str]
) -> None:
    headers = await in_thread(lambda: bearer(*scopes))
    everything = await in_thread(lambda: bearer("registry:read", "workflows:read"))
    await in_thread(make_planner)

    def happen() -> None:
        change()
        start()
        open_one()

    async with (
        streaming_from(front, **everything) as control,
        streaming_from(front, f"/events{query}", **headers) as stream,
    ):
        await in_thread(happen)
        for _ in range(3):
            await control.next()
        received = {(await stream.next())["topic"] for _ in topics}
        assert received == topics
        assert not stream.waiting


@pytest.mark.parametrize(
    ("scopes", "query", "status", "words"),
    [
        (("audit:read",), "", 403, "registry:read or workflows:read"),
        (("registry:read",), "?topics=executions", 403, "workflows:read"),
        (("registry:read",), "?topics=service", 400, "did you mean services?"),
        ((), "", 401, "API key"),
        (("workflows:read",), "?executions=x", 400, "ids of executions"),
        (("registry:read",), f"?executions={UUID(int=1)}", 400, "Ask for the topic"),
    ],
)
async def test_stream_is_refused_as_any_read_is(
    front: Front, in_thread: Any, scopes: tuple[str, ...], query: str, status: int, words: str
) -> None:
    headers = await in_thread(lambda: bearer(*scopes)) if scopes else {}
    answer = await ask(front, f"/events{query}", accept="text/event-stream", **headers)
    problem = json.loads(answer.body)
    assert (answer.status, problem["status"]) == (status, status)
    assert words in problem["detail"]


async def test_who_comes_again_is_given_what_came_between(front: Front, in_thread: Any) -> None:
    headers = await in_thread(lambda: bearer("registry:read", "workflows:read"))
    await in_thread(make_planner)
    async with streaming_from(front, **headers) as stream:
        await in_thread(change)
        await stream.next()
    execution = await in_thread(start)
    await in_thread(lambda: change("ONLINE"))
    await in_thread(lambda: change("DEGRADED"))
    async with streaming_from(front, last_event_id=stream.last_event_id, **headers) as again:
        received = [await again.next() for _ in range(3)]
        assert {(each["topic"], each["id"]) for each in received} >= {
            ("executions", str(execution.pk))
        }
        statuses = [each["status"] for each in received if each["topic"] == "services"]
        assert statuses == ["ONLINE", "DEGRADED"]
        await in_thread(lambda: change("OFFLINE"))
        assert (await again.next())["status"] == "OFFLINE"


async def test_steps_of_an_execution_are_told_of_to_whoever_follows_it(
    front: Front, in_thread: Any
) -> None:
    headers = await in_thread(lambda: bearer("registry:read", "workflows:read"))
    await in_thread(make_planner)
    execution = await in_thread(start)

    def step() -> None:
        WorkflowStep.objects.create(execution=execution, step_id="next", path="next")

    path = f"/events?topics=executions&executions={execution.pk}"
    async with (
        streaming_from(front, path, **headers) as stream,
        streaming_from(front, **headers) as other,
    ):
        first = await stream.next()
        assert (first["kind"], first["id"]) == ("PROGRESSED", str(execution.pk))
        await in_thread(step)
        assert (await stream.next())["kind"] == "PROGRESSED"
        await in_thread(change)
        assert (await other.next())["topic"] == "services"


async def test_page_gives_the_same_without_a_stream(front: Front, in_thread: Any) -> None:
    headers = await in_thread(lambda: bearer("registry:read"))
    headers["accept"] = "application/json"
    await in_thread(make_planner)
    first = json.loads((await ask(front, "/events", **headers)).body)
    assert (first["topics"], first["events"]) == (["incidents", "services"], [])
    await in_thread(change)
    position = first["last_event_id"]
    page = json.loads((await ask(front, "/events", last_event_id=position, **headers)).body)
    assert [(each["topic"], each["status"]) for each in page["events"]] == [
        ("services", "DEGRADED")
    ]
    assert page["last_event_id"] != position
    assert page["reset"] == []


def old_position() -> str:
    sources = core_events.event_sources
    hour_ago = int(timezone.now().timestamp() * 1000) - core_events.KEPT_MS - 60_000
    return core_events.position_of({**sources.newest(), "executions": hour_ago})


def cut_log() -> str:
    position = core_events.position_of(core_events.event_sources.newest())
    change("ONLINE")
    change("DEGRADED")
    RegistryChange.objects.filter(pk__lt=core_events.event_sources.newest()["services"]).delete()
    return position


@pytest.mark.parametrize(
    ("make", "lost"),
    [
        (lambda: "another", ["executions", "incidents", "services"]),
        (lambda: "1.2", ["executions", "incidents", "services"]),
        (lambda: "9" * 19 + ".1.1", ["executions", "incidents", "services"]),
        (old_position, ["executions"]),
        (cut_log, ["services"]),
    ],
)
async def test_who_missed_what_is_not_known_is_to_read_anew(
    front: Front, in_thread: Any, make: Callable[[], str], lost: list[str]
) -> None:
    headers = await in_thread(lambda: bearer("registry:read", "workflows:read"))
    await in_thread(make_planner)
    position = await in_thread(make)
    async with streaming_from(front, last_event_id=position, **headers) as stream:
        assert await stream.next() == {"type": "reset", "topics": lost}
        await in_thread(lambda: change("OFFLINE"))
        assert (await stream.next())["status"] == "OFFLINE"


async def test_revoked_key_ends_its_stream(front: Front, in_thread: Any) -> None:
    headers = await in_thread(lambda: bearer("registry:read"))
    async with streaming_from(front, **headers) as stream:
        await in_thread(lambda: ApiKey.objects.get().delete())
        await stream.end()


async def test_key_that_may_no_more_ends_its_stream_and_a_harmless_change_does_not(
    front: Front, in_thread: Any
) -> None:
    headers = await in_thread(lambda: bearer("registry:read", "workflows:read"))

    def save(**fields: Any) -> None:
        key = ApiKey.objects.get()
        for name, value in fields.items():
            setattr(key, name, value)
        key.save()

    await in_thread(make_planner)
    async with streaming_from(front, **headers) as stream:
        await in_thread(lambda: save(name="another"))
        await in_thread(change)
        assert (await stream.next())["status"] == "DEGRADED"
        await in_thread(lambda: save(scopes=["registry:read"]))
        await stream.end()


def log_in() -> tuple[User, Client]:
    user = User.objects.create_user("ada", password="x", is_staff=True)
    user.groups.add(Group.objects.get_or_create(name="viewer")[0])
    client = Client()
    client.force_login(user)
    return user, client


async def test_session_follows_until_it_is_logged_out(
    front: Front, in_thread: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "CHECK_SECONDS", 0.05)
    _, client = await in_thread(log_in)
    await in_thread(make_planner)
    cookie = f"sessionid={client.cookies['sessionid'].value}"
    async with streaming_from(front, cookie=cookie) as stream:
        await in_thread(change)
        assert (await stream.next())["status"] == "DEGRADED"
        await in_thread(client.logout)
        await stream.end()


async def test_streams_end_as_the_process_stops(
    in_thread: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "_subscribers", [])  # others of this process go on
    headers = await in_thread(lambda: bearer("registry:read"))
    pool = DjangoPool(get_wsgi_application(), threads=2, share=2)
    async with streaming_from(Front(pool, shortcuts_over(pool)), **headers) as stream:
        stopping.begin_stopping()
        await stream.end()
    pool.close()


async def test_idle_stream_says_that_all_is_well_and_moves_on(
    front: Front, in_thread: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "COMMENT_SECONDS", 0.05)
    monkeypatch.setattr(streaming, "HEARING_SECONDS", 0.05)
    headers = await in_thread(lambda: bearer("registry:read"))
    async with streaming_from(front, **headers) as stream:
        position = stream.last_event_id
        async with asyncio.timeout(PATIENCE):
            while stream.comments < 3 or stream.last_event_id == position:
                await asyncio.sleep(0.01)


async def test_slow_listener_is_cut_and_given_the_rest_when_it_comes_again(
    front: Front, in_thread: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "MOST_QUEUED", 3)
    headers = await in_thread(lambda: bearer("registry:read"))
    await in_thread(make_planner)
    async with streaming_from(front, **headers) as quick, streaming_from(front, **headers) as slow:
        slow.gate.clear()
        wanted = []
        for _ in range(4):
            for status in ("DEGRADED", "ONLINE"):
                await in_thread(lambda status=status: change(status))
                wanted.append((await quick.next())["status"])
        slow.gate.set()
        await slow.end()
    received = [(await slow.next())["status"] for _ in range(slow.waiting)]
    async with streaming_from(front, last_event_id=slow.last_event_id, **headers) as again:
        while len(received) < len(wanted):
            received.append((await again.next())["status"])
    assert received == wanted


async def test_streams_are_bounded_as_waits_are(
    front: Front, in_thread: Any, settings: Any
) -> None:
    settings.WAITS_PER_CALLER = 1
    headers = await in_thread(lambda: bearer("registry:read"))
    pool = DjangoPool(get_wsgi_application(), threads=2, share=2)
    narrow = Front(pool, shortcuts_over(pool))
    await ask(narrow, "/services", **headers)  # the key is known from here on
    async with streaming_from(narrow, **headers):
        answer = await ask(narrow, "/events", accept="text/event-stream", **headers)
        assert answer.status == 429
        assert b"WAITS_PER_CALLER" in answer.body
    async with streaming_from(narrow, **headers):
        pass
    pool.close()


def test_client_library_follows_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_subscribers", [])  # others of this process go on
    text = bearer("registry:read")["authorization"].removeprefix("Bearer ")
    make_planner()
    django: Any = get_wsgi_application()
    pool = DjangoPool(django, threads=2, share=2)
    position = core_events.position_of(core_events.event_sources.newest())
    change()
    with running_front(django, shortcuts_over(pool), server_class=FrontServer) as running:
        url = f"http://127.0.0.1:{running.port}/api"
        client = SyncServiceIntegrationClient(url, api_key=text)
        events = client.events(["services"], last_event_id=position)
        assert next(events)["status"] == "DEGRADED"
        change("OFFLINE")
        event = next(events)
        assert (event["type"], event["name"], event["status"]) == (
            "services", "planner", "OFFLINE",
        )  # fmt: skip

        async def follow() -> list[Any]:
            async with (
                AsyncServiceIntegrationClient(url, api_key=text) as awaiting,
                aclosing(awaiting.events(last_event_id=position)) as awaited,  # type: ignore[type-var]
            ):
                return [(await anext(awaited))["status"] for _ in range(2)]

        assert asyncio.run(follow()) == ["DEGRADED", "OFFLINE"]
        events.close()  # type: ignore[attr-defined]
        client.close()
    pool.close()


async def test_one_reader_serves_all_and_ends_with_the_last(
    front: Front, in_thread: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await in_thread(lambda: bearer("registry:read"))
    looks: list[int] = []
    look = streaming.EventFeed._look

    def counted(feed: Any, followed: Any) -> Any:
        looks.append(len(feed._listeners))
        return look(feed, followed)

    monkeypatch.setattr(streaming.EventFeed, "_look", counted)
    await in_thread(make_planner)
    async with streaming_from(front, **headers) as first, streaming_from(front, **headers) as other:
        await in_thread(change)
        assert await first.next() == await other.next()
    assert 0 not in looks
