"""Web processes beside each other: what one loses, callers who try again do not."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.conftest import surroundings_of
from tests.support.real_hub import Hub, running_hub
from tests.support.waiting import PATIENCE, until

pytestmark = [pytest.mark.e2e, pytest.mark.on_servers]
NUMBER = 2 if "POSTGRES_HOST" in os.environ else 1


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    surroundings = {**surroundings_of("web_processes"), "WEB_PROCESSES": str(NUMBER)}
    with running_hub(tmp_path_factory.mktemp("web"), surroundings) as hub:
        yield hub


def processes_of(hub: Hub) -> set[int]:
    children = Path(f"/proc/{hub.web.pid}/task/{hub.web.pid}/children")
    return {int(pid) for pid in children.read_text().split()}


def test_nothing_is_open_before_the_processes_are_made(hub: Hub) -> None:
    parent = Path(f"/proc/{hub.web.pid}")
    sockets = [fd for fd in (parent / "fd").iterdir() if os.readlink(fd).startswith("socket:")]
    assert len(list((parent / "task").iterdir())) == 1
    assert len(sockets) == 1  # the one that listens
    assert len(processes_of(hub)) == NUMBER


def test_killed_process_is_replaced_and_retries_lose_nothing(hub: Hub) -> None:
    hub.post("/services", {"name": "kept", "url": "http://127.0.0.1:9"})
    victim = min(processes_of(hub))
    beats = [0] * 4
    is_over = threading.Event()

    def beat(which: int) -> None:
        headers = {"Authorization": f"Bearer {hub.key}"}
        with httpx2.Client(headers=headers, timeout=PATIENCE) as client:
            while not is_over.is_set():
                try:
                    answer = client.post(f"{hub.url}/api/services/kept/heartbeat")
                except httpx2.TransportError:
                    continue
                assert answer.status_code == 200, answer.text
                beats[which] += 1

    threads = [threading.Thread(target=beat, args=(which,)) for which in range(len(beats))]
    for thread in threads:
        thread.start()
    until(lambda: all(beats), "all beat", tail=hub.tail)
    os.kill(victim, signal.SIGKILL)
    until(
        lambda: victim not in processes_of(hub) and len(processes_of(hub)) == NUMBER,
        "another takes its place",
        tail=hub.tail,
    )
    before = list(beats)
    until(lambda: all(map(int.__gt__, beats, before)), "all go on", tail=hub.tail)
    is_over.set()
    for thread in threads:
        thread.join()


def test_processes_are_made_anew_on_request(hub: Hub) -> None:
    before = processes_of(hub)
    hub.web.send_signal(signal.SIGHUP)
    until(
        lambda: len(now := processes_of(hub)) == NUMBER and not now & before,
        "new ones take over",
        tail=hub.tail,
    )
    assert hub.get("/services")["items"]


def test_waiting_read_is_answered_when_the_hub_stops(hub: Hub) -> None:
    index = hub.get("/discovery/watch", index=0)["index"]
    answers = []

    def wait() -> None:
        answers.append(hub.api.get("/discovery/watch", params={"index": index, "wait": 50}))

    thread = threading.Thread(target=wait)
    thread.start()
    threading.Event().wait(1)
    hub.web.terminate()
    assert hub.web.wait(12) == 0
    thread.join(PATIENCE)
    assert [answer.status_code for answer in answers] == [200]
    assert "Traceback" not in hub.tail()
