"""Logins are slowed down where they fail, and nobody is locked out by others."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client

from core import logins
from core.logins import ADDRESS, DEVICE, NAME, PAIR, LoginDelayed, begin_attempt, delay_after
from core.models import AuditEntry, AuditVerb, LoginFailure

LOGIN = "/admin/login/"
PASSWORD = "a long enough password"
ELSEWHERE = "198.51.100.9"


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 0), (4, 0), (5, 1), (6, 2), (9, 16), (14, 512), (15, 900), (10**9, 900)],
)
def test_delay_doubles_up_to_the_longest(failures: int, seconds: int) -> None:
    assert delay_after(failures, PAIR) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (("ada", "192.0.2.1"), ("ADA ", "::ffff:192.0.2.1"), True),
        (("ada", "192.0.2.1"), ("ada", "192.0.2.2"), False),
        # A subscriber of IPv6 has a network, not an address.
        (("ada", "2001:db8::1"), ("ada", "2001:db8::ffff:1"), True),
        (("ada", "2001:db8::1"), ("ada", "2001:db8:0:1::1"), False),
        (("ada", ""), ("ada", ""), True),
    ],
)
def test_attempts_count_by_person_and_subscriber(
    one: tuple[str, str], other: tuple[str, str], is_same: bool
) -> None:
    assert (logins.keys_of(*one, "") == logins.keys_of(*other, "")) is is_same


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(datetime(2030, 1, 1, tzinfo=UTC), tick=False) as traveller:
        yield traveller


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_superuser("ada", password=PASSWORD)


def log_in(client: Client | None = None, *, name: str = "ada", password: str, at: str) -> Any:
    client = client or Client()
    return client.post(LOGIN, {"username": name, "password": password}, REMOTE_ADDR=at)


def fail(times: int, *, name: str = "ada", at: str = "192.0.2.1") -> Any:
    for _ in range(times):
        answer = log_in(name=name, password="wrong", at=at)
    return answer


# From one address


def test_failures_are_answered_with_a_wait_that_grows(ada: User, clock: Any) -> None:
    assert fail(5).status_code == 200
    for seconds in (1, 2, 4, 8):
        refused = log_in(password=PASSWORD, at="192.0.2.1")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, str(seconds))
        said = f"Try again in {seconds} s; until then no password is looked at."
        assert said in refused.content.decode()
        assert refused.headers["Content-Type"].startswith("text/html")
        clock.shift(seconds)
        assert fail(1).status_code == 200
    clock.shift(16)
    assert log_in(password=PASSWORD, at="192.0.2.1").status_code == 302
    # Who is in has a clean slate.
    assert fail(4).status_code == 200
    assert log_in(password=PASSWORD, at="192.0.2.1").status_code == 302


def test_failures_are_forgotten_after_an_hour(ada: User, clock: Any) -> None:
    fail(5)
    clock.shift(logins.MEMORY + timedelta(seconds=1))
    assert fail(4).status_code == 200
    assert log_in(password=PASSWORD, at="192.0.2.1").status_code == 302


@pytest.mark.parametrize("times", [1, 6])
def test_a_refused_login_says_why_and_asks_for_no_correction(
    ada: User, clock: Any, times: int
) -> None:
    assert fail(times).content.decode().count('class="errornote') == 1


def test_an_address_that_tries_names_is_slowed_down(ada: User, clock: Any) -> None:
    for number in range(ADDRESS.free):
        begin_attempt(f"name-{number}", "192.0.2.1")
    assert log_in(password=PASSWORD, at="192.0.2.1").status_code == 429
    assert log_in(password=PASSWORD, at=ELSEWHERE).status_code == 302


def test_names_that_nobody_has_are_treated_alike(ada: User, clock: Any) -> None:
    for name in ("ada", "nobody"):
        pages = [fail(1, name=name, at=f"192.0.2.{len(name)}") for _ in range(7)]
        assert [page.status_code for page in pages] == [200] * 5 + [429] * 2
        shown = {
            page.content.decode().replace(name, "*").count("Too many logins") for page in pages
        }
        assert shown == {0, 1}


# A stranger does not lock a person out


def test_person_at_another_address_is_not_stopped(ada: User, clock: Any) -> None:
    assert fail(30).status_code == 429
    assert log_in(password=PASSWORD, at=ELSEWHERE).status_code == 302


def fail_from_everywhere() -> None:
    for number in range(NAME.free):
        begin_attempt("ada", f"203.0.{number // 200}.{number % 200}")


def test_known_browser_is_not_stopped_by_failures_from_everywhere(ada: User, clock: Any) -> None:
    browser = Client()
    assert log_in(browser, password=PASSWORD, at="192.0.2.1").status_code == 302
    cookie = browser.cookies["known_browser"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", LOGIN)
    fail_from_everywhere()
    fail(10)  # and from the person's own address
    stranger = log_in(password=PASSWORD, at=ELSEWHERE)
    assert (stranger.status_code, int(stranger.headers["Retry-After"])) == (429, 1)
    assert log_in(browser, password=PASSWORD, at="192.0.2.1").status_code == 302
    assert log_in(browser, password=PASSWORD, at="2001:db8::1").status_code == 302


def test_unknown_browser_waits_a_minute_at_most_for_failures_from_everywhere(
    ada: User, clock: Any
) -> None:
    fail_from_everywhere()
    for _ in range(20):
        clock.shift(NAME.longest_seconds)
        fail(1, at=ELSEWHERE)
    clock.shift(NAME.longest_seconds)
    assert log_in(password=PASSWORD, at="198.51.100.77").status_code == 302


def test_known_browser_guesses_no_faster(ada: User, clock: Any) -> None:
    browser = Client()
    log_in(browser, password=PASSWORD, at="192.0.2.1")
    answers = [
        log_in(browser, password="wrong", at=f"192.0.2.{number}")
        for number in range(DEVICE.free + 1)
    ]
    assert [answer.status_code for answer in answers] == [200] * DEVICE.free + [429]


def test_browser_of_one_person_is_unknown_for_another(ada: User, clock: Any) -> None:
    User.objects.create_superuser("bob", password=PASSWORD)
    browser = Client()
    log_in(browser, name="bob", password=PASSWORD, at="192.0.2.1")
    answers = [log_in(browser, password="wrong", at="192.0.2.1") for _ in range(6)]
    assert answers[-1].status_code == 429


@pytest.mark.parametrize("cookie", ["", "x", "W10:x:y", "\x00", "ä" * 5000])
def test_cookie_that_is_no_ones_is_as_none(ada: User, clock: Any, cookie: str) -> None:
    assert logins.read_device(cookie, "ada") == ""
    assert logins.read_device(logins.write_device("bob"), "ada") == ""
    kept = logins.write_device("ada", "its-id")
    assert logins.read_device(kept, "ADA") == "its-id"


# At once


@pytest.mark.django_db(transaction=True)
def test_attempts_at_once_get_no_more_tries() -> None:
    def attempt(_: int) -> bool:
        try:
            begin_attempt("ada", "192.0.2.1")
        except LoginDelayed:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(8) as threads:
        begun = sum(threads.map(attempt, range(24)))
    assert begun == PAIR.free


# What is told


def test_slowed_login_is_recorded_once(ada: User, clock: Any) -> None:
    fail(9, at="192.0.2.1")
    (entry,) = AuditEntry.objects.filter(verb=AuditVerb.LOGIN_DELAYED)
    assert (entry.actor_kind, entry.actor) == ("ANONYMOUS", "192.0.2.1")
    assert (entry.object_type, entry.object_id, entry.object_name) == ("user", str(ada.pk), "ada")
    fail(5, name="my-password-in-the-wrong-field", at=ELSEWHERE)
    latest = AuditEntry.objects.first()
    assert latest is not None
    assert (latest.object_id, latest.object_name) == ("", "(no such user)")
    kept = [*AuditEntry.objects.values(), *LoginFailure.objects.values()]
    assert "my-password" not in str(kept)
    client = Client()
    client.force_login(ada)
    assert "Login slowed down" in client.get("/admin/core/auditentry/").content.decode()


def test_old_counts_are_dropped(ada: User, clock: Any) -> None:
    fail(1)
    assert logins.forget_failures(now=datetime.now(UTC)) == 0
    clock.shift(logins.MEMORY + timedelta(seconds=1))
    assert logins.forget_failures(now=datetime.now(UTC)) == 3
