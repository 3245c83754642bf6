"""What processes tell each other is heard by whom it concerns, and is never needed."""

import json
import threading

import pytest
import redis
from django.conf import settings
from django.db import connection

from core.api import waiters
from tests.factories import make_workflow
from tests.support.waiting import PATIENCE, until
from workflows import services
from workflows.engine import ready_queue
from workflows.engine.ready_queue import ReadyListener, ReadyPublisher
from workflows.engine.runtime import runtime
from workflows.history.append_only import deletable_history
from workflows.models import WorkflowExecution
from workflows.signalling import ends, redis_notifier
from workflows.signalling.database_notifier import PostgresNotifier, SqliteNotifier
from workflows.signalling.notifier import NotifierError, own_notifier

needs_redis = pytest.mark.skipif(not settings.REDIS_URL, reason="no Redis on this backend")
pytestmark = pytest.mark.needs_backend


@pytest.fixture
def server():
    client = redis.Redis.from_url(settings.REDIS_URL)
    # What tests before this one made ready may still be on its way.
    until(lambda: runtime.announcer.is_idle, "all hints are sent")
    threading.Event().wait(0.1)
    client.delete(redis_notifier.READY)
    yield client
    client.delete(redis_notifier.READY)


def end(listener: ReadyListener) -> None:
    """Stop it, and wait until it takes nothing more from the tests that follow."""
    listener.stop()
    until(lambda: not listener.is_listening, "it ends")


@needs_redis
def test_hint_is_heard_by_one_listener(server):
    # What tests before this one made ready may be heard too.
    heard: list[list[str]] = []
    listeners = [ReadyListener(own_notifier(), heard.append) for _ in range(2)]
    for listener in listeners:
        listener.start()
    try:
        own_notifier().tell_ready(["a", "b"])
        own_notifier().tell_ready(["c"])
        own_notifier().tell_ready(["end"])
        sent = (["a", "b"], ["c"], ["end"])
        until(lambda: all(hint in heard for hint in sent), "all is heard")
        assert [heard.count(hint) for hint in sent] == [1, 1, 1]
    finally:
        for listener in listeners:
            end(listener)


@needs_redis
@pytest.mark.parametrize("message", ["5", "{", "null", '{"a": 1}', '[["x"], 5, null]'])
def test_message_that_is_none_stops_no_listener(server, message):
    heard: list[list[str]] = []
    listener = ReadyListener(own_notifier(), heard.append)
    listener.start()
    try:
        server.rpush(redis_notifier.READY, message)
        own_notifier().tell_ready(["after"])
        until(lambda: ["after"] in heard, "the next is heard")
    finally:
        end(listener)


def test_worker_looks_for_what_is_due_while_nothing_can_be_heard(monkeypatch):
    class Away(SqliteNotifier):
        def hear_ready(self):
            raise NotifierError("no answer")

    monkeypatch.setattr(ready_queue, "RETRY_SECONDS", 0.01)
    looked: list[list[str]] = []
    listener = ReadyListener(Away(), looked.append)
    listener.start()
    until(lambda: len(looked) > 1, "it looks again and again")
    end(listener)
    assert not any(looked)  # whatever is due


@needs_redis
def test_hint_heard_while_stopping_is_left_for_another_worker(server):
    # What tests before this one made ready may be heard too.
    by_leaving, by_staying = [], []
    leaving = ReadyListener(own_notifier(), by_leaving.append)
    staying = ReadyListener(own_notifier(), by_staying.append)
    leaving.start()
    # Hubs of other tests listen on the same server, in other databases.
    own = str(server.connection_pool.connection_kwargs["db"])
    blocked = lambda: {c["db"] for c in server.client_list() if c["cmd"] == "blpop"}  # noqa: E731
    until(lambda: own in blocked(), "it listens")
    leaving.stop()
    own_notifier().tell_ready(["a"])
    until(lambda: not leaving.is_listening, "it ends")
    assert ["a"] not in by_leaving
    staying.start()
    until(lambda: ["a"] in by_staying, "the other hears it")
    end(staying)


@needs_redis
def test_hints_that_nobody_takes_do_not_pile_up(server, monkeypatch):
    monkeypatch.setattr(redis_notifier, "MOST_HINTS", 3)
    for number in range(5):
        own_notifier().tell_ready([str(number)])
    kept = [json.loads(item) for item in server.lrange(redis_notifier.READY, 0, -1)]
    assert kept == [["2"], ["3"], ["4"]]
    assert 0 < server.ttl(redis_notifier.READY) <= redis_notifier.HINT_SECONDS


@needs_redis
def test_start_is_told_over_redis_without_a_celery_message(server):
    queue = f"{settings.SERVICE_NAME}:hub"
    server.delete(queue)  # what other tests sent
    ReadyPublisher(own_notifier).announce(["a"])
    assert json.loads(server.blpop([redis_notifier.READY], timeout=PATIENCE)[1]) == ["a"]
    assert server.llen(queue) == 0


class RecordingNotifier(SqliteNotifier):
    """Keeps what it is told, and whether in haste; refuses haste while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[list[str], bool]] = []
        self.refuses = False
        self.refused = 0

    def tell_ready(self, step_ids, *, in_haste=False):
        if in_haste and self.refuses:
            self.refused += 1
            raise NotifierError("no answer")
        self.told.append((list(step_ids), in_haste))


@pytest.fixture
def notifier(monkeypatch):
    monkeypatch.setattr(ready_queue, "PAUSE_SECONDS", 0)
    return RecordingNotifier()


def publisher_that_was_answered(notifier: RecordingNotifier) -> ReadyPublisher:
    publisher = ReadyPublisher(lambda: notifier)
    publisher.announce(["first"])
    until(lambda: publisher.trusts_answers, "it knows of an answer")
    assert notifier.told == [(["first"], False)]
    notifier.told.clear()
    return publisher


def test_hint_goes_out_at_once_when_one_was_answered_before(notifier):
    publisher_that_was_answered(notifier).announce(["b"])
    assert notifier.told == [(["b"], True)]


def test_hint_without_an_answer_is_left_to_the_thread_until_that_is_answered(notifier):
    publisher = publisher_that_was_answered(notifier)
    notifier.refuses = True
    publisher.announce(["a"])
    assert notifier.refused == 1
    until(lambda: notifier.told == [(["a"], False)], "the thread sends it")
    until(lambda: publisher.trusts_answers, "it knows of an answer")
    notifier.refuses = False
    publisher.announce(["b"])
    assert notifier.told == [(["a"], False), (["b"], True)]


def test_burst_of_hints_is_left_to_the_thread(notifier):
    publisher = publisher_that_was_answered(notifier)
    many = [str(number) for number in range(ready_queue.LARGEST_HINT + 1)]
    publisher.announce(many)
    told = lambda: [step for hint, _ in notifier.told for step in hint]  # noqa: E731
    until(lambda: len(told()) == len(many), "all are sent")
    assert told() == many
    assert not any(in_haste for _, in_haste in notifier.told)


# Without Redis the database tells


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="LISTEN is PostgreSQL's")
def test_every_worker_hears_over_postgresql_of_what_is_ready():
    workers = [PostgresNotifier() for _ in range(2)]
    # What was told before somebody listens is to be looked for.
    assert [worker.hear_ready() for worker in workers] == [[], []]
    PostgresNotifier().tell_ready(["a", "b"])
    assert [worker.hear_ready() for worker in workers] == [["a", "b"], ["a", "b"]]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="LISTEN is PostgreSQL's")
def test_worker_whose_connection_is_cut_says_so_and_listens_again():
    worker = PostgresNotifier()
    worker.hear_ready()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN %%' AND datname = current_database()"
        )
    with pytest.raises(NotifierError):
        worker.hear_ready()
    assert worker.hear_ready() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="a pooler is PostgreSQL's")
def test_worker_behind_a_pooler_looks_by_itself(monkeypatch):
    monkeypatch.setattr("workflows.signalling.database_notifier.has_own_session", lambda _: False)
    worker = PostgresNotifier()
    assert [worker.hear_ready() for _ in range(3)] == [[], [], []]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="of SQLite's file")
def test_worker_on_sqlite_sees_that_somebody_wrote():
    worker = SqliteNotifier()
    assert worker.hear_ready() == []
    assert worker.hear_ready() is None
    writer = threading.Thread(target=write_and_close)
    writer.start()
    writer.join()
    assert worker.hear_ready() == []


def write_and_close() -> None:
    make_workflow()
    connection.close()


# Ends


def finish(execution: WorkflowExecution) -> None:
    WorkflowExecution.objects.filter(pk=execution.pk).update(status="COMPLETED")


def begin() -> WorkflowExecution:
    start = services.Start(input={}, context={})
    return services.start_execution(make_workflow(), start).execution


@pytest.mark.django_db(transaction=True)
def test_waiting_caller_is_woken_by_the_end_that_it_waits_for():
    execution = begin()
    future = services.when_ended(execution.pk, seconds=60)
    other = services.when_ended(begin().pk, seconds=0.2)
    finish(execution)
    ends.tell_ended([str(execution.pk)])
    assert future.result(PATIENCE) is True
    assert other.result(PATIENCE) is False


@pytest.mark.django_db(transaction=True)
def test_end_is_seen_that_nobody_told(monkeypatch):
    monkeypatch.setattr(waiters, "HEARING_SECONDS", 0.1)
    execution = begin()
    future = services.when_ended(execution.pk, seconds=60)
    finish(execution)
    assert future.result(PATIENCE) is True


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("happens", [finish, WorkflowExecution.delete], ids=["end", "deletion"])
def test_who_comes_after_the_end_does_not_wait(happens):
    execution = begin()
    execution_id = execution.pk
    with deletable_history():
        happens(execution)
    assert services.when_ended(execution_id, seconds=60).result(PATIENCE) is True


@pytest.mark.django_db(transaction=True)
def test_ends_beyond_one_message_are_all_told(monkeypatch):
    monkeypatch.setattr(ends, "MOST_TOLD", 2)
    monkeypatch.setattr(ends, "MOST_ASKED", 2)
    executions = [begin() for _ in range(5)]
    futures = [services.when_ended(row.pk, seconds=60) for row in executions]
    for execution in executions:
        finish(execution)
    ends.tell_ended([str(row.pk) for row in executions])
    assert [future.result(PATIENCE) for future in futures] == [True] * 5


@pytest.mark.django_db
def test_wait_without_anything_heard_ends_at_its_time():
    assert not services.wait_for_end(begin(), seconds=0.05).has_ended
