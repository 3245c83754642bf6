"""The embedded broker: files that appear whole, are taken once, and do not pile up."""

import itertools
import os
import threading
import time

import pytest
from kombu import Connection

from integration_site import filesystem_broker
from tests.support.waiting import PATIENCE

NUMBERS = itertools.count(1)
QUEUE = ""


@pytest.fixture
def connection(tmp_path):
    # kombu remembers bindings per process, so each folder needs queues of its own.
    global QUEUE
    QUEUE = f"q{next(NUMBERS)}"
    options = {"folder": str(tmp_path / "messages")}
    with Connection("files://localhost", transport_options=options) as found:
        yield found


def take_all(connection):
    found = []
    queue = connection.SimpleQueue(QUEUE)
    while True:
        try:
            message = queue.get(block=False)
        except queue.Empty:
            return found
        found.append(message.payload)
        message.ack()


def put(connection, *payloads):
    queue = connection.SimpleQueue(QUEUE)
    for payload in payloads:
        queue.put(payload)
    queue.close()


def test_messages_are_taken_once_in_their_order(connection):
    put(connection, "a", "b", "c")
    assert take_all(connection) == ["a", "b", "c"]
    assert take_all(connection) == []


def test_half_written_file_is_not_taken(connection, tmp_path):
    take_all(connection)
    (tmp_path / "messages" / f"1_x.{QUEUE}.msg.abc.new").write_text("{")
    assert take_all(connection) == []


def test_purged_queue_is_empty(connection):
    put(connection, "a", "b")
    with connection.SimpleQueue(QUEUE) as queue:
        assert queue.clear() == 2
    assert take_all(connection) == []


def test_many_takers_never_share_a_message(connection):
    put(connection, *range(60))
    options = connection.transport_options
    taken, lock = [], threading.Lock()

    def work():
        with Connection("files://localhost", transport_options=options) as own:
            found = take_all(own)
        with lock:
            taken.extend(found)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(taken) == list(range(60))


def test_messages_do_not_pile_up_while_nobody_listens(connection, tmp_path, monkeypatch):
    monkeypatch.setattr(filesystem_broker, "MOST_WAITING", 5)
    put(connection, *range(20))
    assert len(os.listdir(tmp_path / "messages")) <= 5


def test_what_killed_takers_left_is_cleared_after_an_hour(connection, tmp_path):
    take_all(connection)
    old, new = tmp_path / "messages" / "1.taken", tmp_path / "messages" / "2.taken"
    for file in (old, new):
        file.write_text("{}")
    hour_ago = time.time() - filesystem_broker.FORGET_SECONDS - 1
    os.utime(old, (hour_ago, hour_ago))
    with Connection("files://localhost", transport_options=connection.transport_options) as another:
        take_all(another)
    assert not old.exists()
    assert new.exists()
