"""Processes are killed and messages are lost; accepted executions are not."""

import http.server
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx2
import pytest
import redis

from tests.support.real_hub import ROOT, Hub
from tests.support.waiting import PATIENCE, until

pytestmark = [pytest.mark.e2e, pytest.mark.on_servers]

EXECUTIONS = 50
CALLERS = 32
QUICK = {"id": "a", "type": "TRANSFORM", "output": {}}
STEPS = ["one", "two", "three", "four", "five"]


class SlowService(http.server.ThreadingHTTPServer):
    """Answers every call after a while, and remembers its idempotency key."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), SlowHandler)
        self.keys: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class SlowHandler(http.server.BaseHTTPRequestHandler):
    """One call."""

    protocol_version = "HTTP/1.1"
    server: SlowService

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.keys.append(self.headers["Idempotency-Key"])
        threading.Event().wait(0.2)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing to say."""


@pytest.fixture(scope="module")
def slow(hub):
    service = SlowService()
    action = {"name": "echo", "path": "/echo"}
    hub.post("/services", {"name": "slow", "url": service.url, "actions": [action]})
    yield service
    service.shutdown()
    service.server_close()


def define_chain(hub: Hub, name: str) -> None:
    """Five calls, one after the other."""
    following = [*STEPS[1:], None]
    steps = [
        {"id": step, "service": "slow", "action": "echo", "input": {"step": step}, "next": after}
        for step, after in zip(STEPS, following, strict=True)
    ]
    hub.post("/workflows", {"name": name, "steps": steps})


def start_many(hub: Hub, name: str) -> list[str]:
    return [
        hub.post(f"/workflows/{name}/execute", {"input_data": {"n": n}})["id"]
        for n in range(EXECUTIONS)
    ]


def assert_each_step_is_recorded_once(hub: Hub, executions: list[str]) -> None:
    for execution in executions:
        found = hub.ended(execution)
        assert found["status"] == "COMPLETED", found
        completed = Counter(s["path"] for s in found["steps"] if s["status"] == "COMPLETED")
        assert completed == Counter(STEPS)
        events = hub.get(f"/executions/{execution}/events", per_page=50)["items"]
        assert [e["sequence"] for e in events] == list(range(1, len(events) + 1))


def test_worker_killed_in_the_middle_loses_nothing_and_records_nothing_twice(hub, slow):
    define_chain(hub, "killed")
    executions = start_many(hub, "killed")
    for _ in range(2):
        running = hub.get("/executions", workflow="killed", status="pending,running")["total"]
        assert running, "the worker was faster than the test"
        hub.kill_worker()
        hub.worker = hub.start_worker()
        until(lambda: hub.get("/health/system")["workers"], "a worker shows itself")
    assert_each_step_is_recorded_once(hub, executions)
    # Delivered at least once, and known by one key: a receiver can tell.
    assert len(set(slow.keys)) == EXECUTIONS * len(STEPS)


def test_executions_end_though_every_message_is_lost(hub, slow):
    define_chain(hub, "unheard")
    hub.worker.terminate()
    hub.worker.wait(PATIENCE)
    executions = start_many(hub, "unheard")
    lose_messages(hub)
    hub.worker = hub.start_worker()
    assert_each_step_is_recorded_once(hub, executions)


def lose_messages(hub: Hub) -> None:
    if "REDIS_URL" in hub.environment:
        redis.Redis.from_url(hub.environment["REDIS_URL"]).flushdb()
        return
    for file in (hub.directory / "broker" / "messages").iterdir():
        file.unlink(missing_ok=True)


@pytest.mark.parametrize("failpoint", ["C0:3", pytest.param("C1:3", marks=pytest.mark.slow)])
def test_web_killed_around_a_commit_keeps_what_it_accepted(hub, failpoint):
    name = f"quick-{failpoint[:2]}"
    hub.post("/workflows", {"name": name, "steps": [QUICK]})
    processes = "2" if "POSTGRES_HOST" in hub.environment else "1"  # SQLite takes one
    restart_web(hub, FAILPOINT=failpoint, WEB_PROCESSES=processes)
    accepted: dict[str, str] = {}
    unanswered: list[str] = []

    def caller(number: int) -> None:
        with httpx2.Client(base_url=hub.api.base_url, headers=hub.api.headers) as client:
            for key in (f"{number}-{n}" for n in range(2)):
                until(partial(is_started, client, key), f"{key} is accepted", tail=hub.tail)

    def is_started(client: httpx2.Client, key: str) -> bool:
        path, headers = f"/workflows/{name}/execute", {"Idempotency-Key": key}
        try:
            answer = client.post(path, json={"input_data": {"key": key}}, headers=headers)
        except httpx2.HTTPError:
            unanswered.append(key)  # with its process
            return False
        if answer.is_success:  # 200 where it was started before, and has ended
            accepted[key] = answer.json()["id"]
        return answer.is_success

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(caller, range(CALLERS)))
    restart_web(hub)
    assert unanswered, "No web process was killed."
    assert len(set(accepted.values())) == len(accepted) == CALLERS * 2
    assert hub.get("/executions", workflow=name)["total"] == len(accepted)
    for key, execution in accepted.items():
        ended = hub.ended(execution)
        assert (ended["status"], ended["input"]) == ("COMPLETED", {"key": key})


def restart_web(hub: Hub, **more: str) -> None:
    hub.web.terminate()
    hub.web.wait(PATIENCE)
    hub.web = hub.run("gunicorn integration_site.asgi", root=ROOT, **more)
    until(hub.is_ready, "the hub is ready", tail=hub.tail)
    hub.connect()


def test_hub_starts_again_after_all_of_it_was_killed(hub):
    for process in (hub.web, hub.worker, hub.beat):
        process.kill()
        process.wait()
    # gunicorn's own worker outlives its killed master for a moment, and still answers.
    until(lambda: not hub.is_ready(), "the old web is gone", tail=hub.tail)
    hub.web = hub.run("gunicorn integration_site.asgi")
    hub.worker = hub.start_worker()
    hub.beat = hub.run("celery --quiet -A integration_site beat --scheduler celery.beat.Scheduler")
    until(hub.is_ready, "the hub is ready", tail=hub.tail)
    hub.connect()
    assert hub.get("/workflows/killed")["status"] == "ACTIVE"


def test_silent_service_goes_offline_and_comes_back_with_its_next_beat(hub):
    hub.post("/services", {"name": "silent", "url": "http://127.0.0.1:9", "ttl_seconds": 3})
    until(lambda: hub.get("/services/silent")["status"] == "OFFLINE", "it goes offline")
    assert hub.post("/services/silent/heartbeat")["status"] == "ONLINE"
