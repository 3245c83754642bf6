"""Keys that are remembered: how long, what is heard of them, and what an event loop may know."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed

from core import api_keys
from core.api import known_keys as module
from core.api.known_keys import KnownKeys, read_keys
from core.models import ApiKey
from tests import factories
from tests.support.waiting import PATIENCE

ADDRESS = "127.0.0.1"


class Looking:
    """A look-up in a dictionary, which counts, and a clock that is set."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.asked: list[str] = []
        self.times = 0
        self.now = 100.0
        self.has_asked = threading.Event()
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self, texts: Collection[str]) -> dict[str, ApiKey]:
        self.asked += texts
        self.times += 1
        keys = {text: self.keys[text] for text in texts if text in self.keys}
        self.meanwhile()
        self.has_asked.set()
        return keys


@pytest.fixture
def looking() -> Looking:
    return Looking()


@pytest.fixture
def keys(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> Iterator[KnownKeys]:
    monkeypatch.setattr(module, "_note_use", lambda key: None)
    keys = KnownKeys(looking, clock=lambda: looking.now)
    yield keys
    keys.close()


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def test_a_key_is_looked_up_once_a_second(keys: KnownKeys, looking: Looking) -> None:
    looking.keys["good"] = ApiKey(name="n", role="VIEWER")
    for seconds in (0, 0.9, 0.2, 0.5, 0.4):
        looking.now += seconds
        known = keys.find("good", ADDRESS)
        assert (known.caller.name, known.caller.may("registry:read")) == ("n", True)
    assert looking.asked == ["good"] * 2


def test_of_those_who_find_it_old_at_once_one_looks(keys: KnownKeys, looking: Looking) -> None:
    looking.keys["good"] = ApiKey(name="n")
    keys.find("good", ADDRESS)
    looking.now += 1.5
    looking.meanwhile = lambda: keys.find("good", ADDRESS)
    keys.find("good", ADDRESS)
    assert looking.asked == ["good"] * 2


def test_an_unknown_key_is_looked_up_once_a_second_and_drives_out_no_known_one(
    keys: KnownKeys, looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking.keys["good"] = ApiKey(name="n")
    keys.find("good", ADDRESS)
    for _ in range(2):
        for number in range(module.MOST_UNKNOWN):
            with pytest.raises(AuthenticationFailed):
                keys.find(f"bad{number}", ADDRESS)
    keys.find("good", ADDRESS)
    assert len(looking.asked) == module.MOST_UNKNOWN + 1
    looking.now += 1.0
    with pytest.raises(AuthenticationFailed):
        keys.find("bad0", ADDRESS)
    assert looking.asked[-1] == "bad0"


def test_ends_and_networks_are_held_against_every_request(
    keys: KnownKeys, looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    looking.keys["good"] = ApiKey(expires_at=now + timedelta(seconds=5), networks=["127.0.0.0/8"])
    keys.find("good", ADDRESS)
    assert keys.recall(bearer("good"), ADDRESS)
    with pytest.raises(AuthenticationFailed, match="from this address"):
        keys.find("good", "10.0.0.1")
    assert keys.recall(bearer("good"), "10.0.0.1") is None
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(seconds=5))
    with pytest.raises(AuthenticationFailed, match="has expired"):
        keys.find("good", ADDRESS)
    assert keys.recall(bearer("good"), ADDRESS) is None
    assert looking.asked == ["good"]


def test_a_loop_asks_nobody_and_has_old_keys_looked_up(keys: KnownKeys, looking: Looking) -> None:
    looking.keys["good"] = ApiKey(name="n")
    assert keys.recall(bearer("good"), ADDRESS) is None
    assert looking.asked == []
    keys.find("good", ADDRESS)
    assert keys.recall({"x-api-key": "good"}, ADDRESS)
    assert keys.recall({}, ADDRESS) is None
    looking.now += 1.5
    looking.has_asked.clear()
    assert keys.recall(bearer("good"), ADDRESS)
    assert looking.has_asked.wait(PATIENCE)
    assert looking.asked == ["good"] * 2
    looking.now += 2
    assert keys.recall(bearer("good"), ADDRESS) is None


def test_a_loop_can_wait_for_a_key_to_be_looked_up_once_for_all(
    keys: KnownKeys, looking: Looking
) -> None:
    looking.keys["good"] = ApiKey(name="n")
    may_look = threading.Event()
    looking.meanwhile = lambda: may_look.wait(PATIENCE)
    first, second = keys.look_up_soon(bearer("good")), keys.look_up_soon(bearer("good"))
    assert first is not None and first is second
    may_look.set()
    first.result(PATIENCE)
    assert keys.recall(bearer("good"), ADDRESS)
    assert keys.look_up_soon(bearer("good")) is None
    unknown = keys.look_up_soon(bearer("bad"))
    assert unknown is not None
    unknown.result(PATIENCE)
    assert keys.look_up_soon(bearer("bad")) is None
    assert keys.look_up_soon({}) is None
    assert looking.asked == ["good", "bad"]


def test_keys_that_become_old_together_are_looked_up_together(
    keys: KnownKeys, looking: Looking
) -> None:
    looking.keys = {str(number): ApiKey(name=str(number)) for number in range(20)}
    may_look = threading.Event()
    looking.meanwhile = lambda: may_look.wait(PATIENCE)
    awaited = [keys.look_up_soon(bearer(text)) for text in looking.keys]
    may_look.set()
    for future in awaited:
        assert future is not None
        future.result(PATIENCE)
    assert sorted(looking.asked) == sorted(looking.keys)
    assert looking.times <= 2  # the first perhaps alone


def test_what_is_looked_up_while_keys_change_is_not_remembered(
    keys: KnownKeys, looking: Looking
) -> None:
    looking.keys["good"] = ApiKey(name="n")
    looking.meanwhile = keys.forget
    keys.find("good", ADDRESS)
    assert keys.recall(bearer("good"), ADDRESS) is None
    keys.find("good", ADDRESS)
    assert looking.asked == ["good"] * 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "change",
    [
        api_keys.revoke_key,
        api_keys.delete_key,
        lambda key: api_keys.update_key(
            key,
            {"networks": ["10.0.0.0/8"]},
            may_grant=api_keys.Grantable(frozenset({"registry:read"})),
        ),
    ],
)
def test_a_changed_key_is_refused_at_once(change: Callable[[ApiKey], Any]) -> None:
    key, text = factories.make_key("VIEWER")
    here = module.known_keys()
    assert here.find(text, ADDRESS).key.pk == key.pk
    change(key)
    with pytest.raises(AuthenticationFailed):
        here.find(text, ADDRESS)


@pytest.mark.django_db
def test_the_database_is_asked_for_the_whole_key() -> None:
    key, text = factories.make_key("VIEWER")
    other, second = factories.make_key("VIEWER")
    wrong = (text + "x", text[:-1], text.upper(), "si_" + key.prefix, "x" + text, text + "\0", "")
    with CaptureQueriesContext(connection) as queries:
        rows = read_keys([text, *wrong, second])
    assert {each: row.pk for each, row in rows.items()} == {text: key.pk, second: other.pk}
    assert len(queries) == 1
    assert read_keys(wrong) == {}
