"""What processes tell each other over Redis is heard by whom it concerns, and is never needed."""

import json
import threading

import pytest
import redis
from django.conf import settings

from tests.factories import make_workflow
from tests.support.real_hub import until
from workflows import services, tasks
from workflows.engine import ready_publisher, ready_queue
from workflows.engine.ready_publisher import HintPublisher

SECONDS = 10
needs_redis = pytest.mark.skipif(not settings.REDIS_URL, reason="no Redis on this backend")
pytestmark = pytest.mark.needs_backend


@pytest.fixture
def server():
    client = redis.Redis.from_url(settings.REDIS_URL)
    # What tests before this one made ready may still be on its way.
    until(tasks._hints._waiting.empty, "all hints are sent", seconds=SECONDS)
    threading.Event().wait(0.1)
    client.delete(ready_queue.READY)
    yield client
    client.delete(ready_queue.READY)


def listen(endings: ready_queue.Endings) -> None:
    """Let it listen, as the first caller that waits does."""
    with endings.watch("first"):
        until(lambda: endings.hears, "it listens", seconds=SECONDS)


def end(listener: ready_queue.ReadyListener) -> None:
    """Stop it, and wait until it takes nothing more from the tests that follow."""
    listener.stop()
    until(lambda: not listener._thread.is_alive(), "it ends", seconds=SECONDS)


@needs_redis
def test_hint_is_heard_by_one_listener(server):
    # What tests before this one made ready may be heard too.
    heard: list[list[str]] = []
    listeners = [ready_queue.ReadyListener(heard.append) for _ in range(2)]
    for listener in listeners:
        listener.start()
    try:
        ready_queue.tell_ready(["a", "b"])
        ready_queue.tell_ready(["c"])
        ready_queue.tell_ready(["end"])
        sent = (["a", "b"], ["c"], ["end"])
        until(lambda: all(hint in heard for hint in sent), "all is heard", seconds=SECONDS)
        assert [heard.count(hint) for hint in sent] == [1, 1, 1]
    finally:
        for listener in listeners:
            end(listener)


@needs_redis
@pytest.mark.parametrize("message", ["5", "{", "null", '{"a": 1}', '[["x"], 5, null]'])
def test_message_that_is_none_stops_no_listener(server, message):
    heard: list[list[str]] = []
    listener = ready_queue.ReadyListener(heard.append)
    listener.start()
    endings = ready_queue.Endings()
    try:
        listen(endings)
        server.rpush(ready_queue.READY, message)
        server.publish(ready_queue.ENDED, message)
        ready_queue.tell_ready(["after"])
        until(lambda: ["after"] in heard, "the next is heard", seconds=SECONDS)
        with endings.watch("after") as event:
            until(lambda: endings.hears, "it listens", seconds=SECONDS)
            ready_queue.tell_ended(["after"])
            assert event.wait(SECONDS)
    finally:
        end(listener)


@needs_redis
def test_hint_heard_while_stopping_is_left_for_another_worker(server):
    # What tests before this one made ready may be heard too.
    by_leaving, by_staying = [], []
    leaving = ready_queue.ReadyListener(by_leaving.append)
    staying = ready_queue.ReadyListener(by_staying.append)
    leaving.start()
    # Hubs of other tests listen on the same server, in other databases.
    own = str(server.connection_pool.connection_kwargs["db"])
    blocked = lambda: {c["db"] for c in server.client_list() if c["cmd"] == "blpop"}  # noqa: E731
    until(lambda: own in blocked(), "it listens", seconds=SECONDS)
    leaving.stop()
    ready_queue.tell_ready(["a"])
    until(lambda: not leaving._thread.is_alive(), "it ends", seconds=SECONDS)
    assert ["a"] not in by_leaving
    staying.start()
    until(lambda: ["a"] in by_staying, "the other hears it", seconds=SECONDS)
    end(staying)


@needs_redis
def test_hints_that_nobody_takes_do_not_pile_up(server, monkeypatch):
    monkeypatch.setattr(ready_queue, "MOST_HINTS", 3)
    for number in range(5):
        ready_queue.tell_ready([str(number)])
    kept = [json.loads(item) for item in server.lrange(ready_queue.READY, 0, -1)]
    assert kept == [["2"], ["3"], ["4"]]
    assert 0 < server.ttl(ready_queue.READY) <= ready_queue.HINT_SECONDS


@needs_redis
def test_start_is_told_over_redis_without_a_celery_message(server):
    sent = []
    HintPublisher(sent.append)._send(["a"])
    assert json.loads(server.lpop(ready_queue.READY)) == ["a"]
    assert sent == []


@pytest.fixture
def sent(monkeypatch, settings):
    """What would go over Redis: the hint, and whether it came from the caller's own thread."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(ready_publisher, "PAUSE_SECONDS", 0)
    told = []

    def tell(step_ids, *, in_haste=False):
        if in_haste and told and told[-1] == "refuse":
            raise redis.ConnectionError("no answer")
        told.append((step_ids, in_haste))

    monkeypatch.setattr(ready_publisher, "tell_ready", tell)
    return told


def fail(step_ids):
    raise AssertionError("No Celery message is wanted.")


def test_hint_goes_out_at_once_when_redis_answered_before(sent):
    publisher = HintPublisher(fail)
    publisher.announce(["a"])
    until(lambda: sent, "the thread sends the first", seconds=SECONDS)
    until(lambda: publisher._answers, "it knows that Redis answers", seconds=SECONDS)
    publisher.announce(["b"])
    assert sent == [(["a"], False), (["b"], True)]


def test_hint_without_an_answer_is_left_to_the_thread_until_that_is_answered(sent):
    publisher = HintPublisher(fail)
    publisher._answers = True
    sent.append("refuse")
    publisher.announce(["a"])
    assert not publisher._answers or sent[-1] == (["a"], False)
    until(lambda: sent[-1] == (["a"], False), "the thread sends it", seconds=SECONDS)
    until(lambda: publisher._answers, "it knows that Redis answers", seconds=SECONDS)
    publisher.announce(["b"])
    assert sent == ["refuse", (["a"], False), (["b"], True)]


def test_burst_of_hints_is_left_to_the_thread(sent):
    publisher = HintPublisher(fail)
    publisher._answers = True
    many = [str(number) for number in range(ready_publisher.LARGEST_HINT + 1)]
    publisher.announce(many)
    told = lambda: [step for hint, _ in sent for step in hint]  # noqa: E731
    until(lambda: len(told()) == len(many), "all are sent", seconds=SECONDS)
    assert told() == many
    assert not any(in_haste for _, in_haste in sent)


@needs_redis
def test_waiting_caller_is_woken_by_the_end():
    endings = ready_queue.Endings()
    listen(endings)
    with endings.watch("x") as ended, endings.watch("y") as other:
        ready_queue.tell_ended(["x"])
        assert ended.wait(SECONDS)
        assert not other.is_set()


@needs_redis
def test_end_that_was_told_before_somebody_waits_is_remembered():
    endings = ready_queue.Endings()
    listen(endings)
    with endings.watch("later") as later:
        ready_queue.tell_ended(["early"])
        ready_queue.tell_ended(["later"])
        assert later.wait(SECONDS)
    with endings.watch("early") as early:
        assert early.is_set()


def test_end_that_cannot_be_told_stops_nobody(settings, monkeypatch):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    ready_queue._redis.cache_clear()
    try:
        ready_queue.tell_ended(["x"])
    finally:
        ready_queue._redis.cache_clear()


@pytest.mark.django_db
def test_wait_without_anything_heard_ends_at_its_time():
    workflow = make_workflow()
    execution = services.start_execution(workflow, services.Start(input={}, context={})).execution
    assert not services.wait_for_end(execution, seconds=0.05).has_ended


@pytest.mark.django_db
def test_nothing_is_kept_of_those_who_waited():
    endings = ready_queue.Endings()
    with endings.watch("x"), endings.watch("x"):
        assert len(endings._waiting["x"]) == 2
    assert endings._waiting == {}
