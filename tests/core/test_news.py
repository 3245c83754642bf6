"""News: heard at once where they are told, and by other processes over Redis or PostgreSQL."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from functools import partial

import pytest
from django.conf import settings as hub_settings
from django.db import connection

from core import news as module
from core.news import Carrier, CarrierError, News, NewsItem, PostgresCarrier, RedisCarrier
from tests.support.waiting import PATIENCE


class Wire:
    """A carrier that keeps what is sent and gives what it is told to."""

    def __init__(self, *messages: str) -> None:
        self.sent: list[str] = []
        self.messages = messages
        self.is_cut = False

    def send(self, message: str) -> None:
        if self.is_cut:
            raise CarrierError("cut")
        self.sent.append(message)

    def receive(self) -> Iterator[str]:
        yield from self.messages
        raise CarrierError("over")


def heard_by(news: News, *topics: str) -> queue.Queue[tuple[str, str]]:
    heard: queue.Queue[tuple[str, str]] = queue.Queue()
    for topic in topics:
        news.hear(topic, partial(_note, heard, topic))
    return heard


def _note(heard: queue.Queue[tuple[str, str]], topic: str, item: NewsItem) -> None:
    heard.put((topic, item.subject))


def all_of(heard: queue.Queue[tuple[str, str]]) -> list[tuple[str, str]]:
    return [heard.get_nowait() for _ in range(heard.qsize())]


def test_news_are_heard_here_at_once_and_sent_on() -> None:
    wire = Wire()
    news = News(wire)
    heard = heard_by(news, "keys", "services")
    news.tell("keys", "a")
    news.tell("nothing")
    assert all_of(heard) == [("keys", "a")]
    assert [json.loads(message)[1:] for message in wire.sent] == [["keys", "a"], ["nothing", ""]]


def test_without_a_carrier_they_are_heard_here() -> None:
    news = News(None)
    heard = heard_by(news, "keys")
    news.listen()
    news.tell("keys", "a")
    assert all_of(heard) == [("keys", "a")]


def test_who_cannot_be_told_is_not_tried_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    wire = Wire()
    news, wire.is_cut = News(wire), True
    heard = heard_by(news, "keys")
    news.tell("keys", "a")
    wire.is_cut = False
    news.tell("keys", "b")
    assert wire.sent == []
    now[0] += module.PAUSE_SECONDS
    news.tell("keys", "c")
    assert [json.loads(message)[2] for message in wire.sent] == ["c"]
    assert [subject for _, subject in all_of(heard)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('["other", "keys", "a"]', [("keys", "a")]),
        ('["other", "unheard", "a"]', []),
        ("", [("keys", ""), ("services", "")]),  # from now on it is heard: what was before?
        ("no JSON", [("keys", ""), ("services", "")]),
        ('["other", "keys"]', [("keys", ""), ("services", "")]),
        ('["other", "keys", 1]', [("keys", ""), ("services", "")]),
        ('{"keys": 1}', [("keys", ""), ("services", "")]),
    ],
)
def test_what_is_received(message: str, expected: list[tuple[str, str]]) -> None:
    news = News(Wire(message))
    heard = heard_by(news, "keys", "services")
    news.listen()
    got = [heard.get(timeout=PATIENCE) for _ in expected]
    news.close()
    assert got == expected


@pytest.fixture
def carriers(db: None) -> list[Carrier]:
    """Those of this backend."""
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL and Redis carry news")
    return [PostgresCarrier(), RedisCarrier(hub_settings.REDIS_URL)]


@pytest.mark.django_db(transaction=True)
def test_other_processes_hear(carriers: list[Carrier], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LISTEN_SECONDS", 0.1)
    for carrier in carriers:
        here, there = News(carrier), News(carrier)
        heard_here, heard_there = heard_by(here, "keys"), heard_by(there, "keys")
        there.listen()
        assert heard_there.get(timeout=PATIENCE) == ("keys", "")  # it listens
        here.tell("keys", "a")
        assert heard_there.get(timeout=PATIENCE) == ("keys", "a")
        there.tell("keys", "b")
        here.tell("keys", "c")
        assert [heard_there.get(timeout=PATIENCE)[1] for _ in "bc"] == ["b", "c"]
        assert heard_there.empty()  # its own it heard once
        assert [subject for _, subject in all_of(heard_here)] == ["a", "c"]
        there.close()


@pytest.mark.once
def test_a_server_that_is_gone_is_an_error_of_the_carrier() -> None:
    carrier = RedisCarrier("redis://127.0.0.1:1")
    with pytest.raises(CarrierError):
        carrier.send("x")
    with pytest.raises(CarrierError):
        next(carrier.receive())
