"""A hub that listens, and everybody who may ask it for something.

Rows are made in the hub's database by this process; all that is tried goes over HTTP.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPConnection, RemoteDisconnected
from json import dumps
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.faults import hub_under_test
from tests.support import servers
from tests.support.real_hub import Hub
from tests.support.waiting import until

# Where the hub may call; the rest of the loopback network is a trap.
ALLOWED = "127.77.0.1"
SURROUNDINGS = {
    "ALLOWED_NETWORKS": f"{ALLOWED}/32",
    "LOG_LEVEL": "DEBUG",
    "REGISTRATION_POLICY": "KEYED",
    "CALL_TIMEOUT_SECONDS": "5",
    # All in one process, where what one asks for keeps the others waiting, if anything does.
    "WEB_PROCESSES": "1",
}


@contextlib.contextmanager
def surroundings_of(backend: str) -> Iterator[dict[str, str]]:
    """The variables of a hub on that database, on throw-away servers where it takes some."""
    if backend == "sqlite":
        yield SURROUNDINGS
        return
    with servers.start_postgres() as postgres, servers.start_redis() as redis:
        postgres.create_database("security")
        yield SURROUNDINGS | postgres.environment("security") | redis.environment()


@contextlib.contextmanager
def running_web(directory: Path, surroundings: dict[str, str]) -> Iterator[Hub]:
    """A hub without workers, which would change rows by themselves; Django is set up here too."""
    hub = Hub(directory, surroundings)
    try:
        assert hub.run("python manage.py bootstrap").wait(600) == 0, hub.tail()
        hub.run("gunicorn integration_site.asgi")
        until(lambda: is_alive(hub.url), "the hub listens", tail=hub.tail)
        # Sessions that are made here are the hub's.
        own = {"SECRET_KEY": hub.environment["SECRET_KEY"], "LOG_LEVEL": "ERROR"}
        hub_under_test.use_in_this_process(directory, surroundings | own)
        yield hub
    finally:
        hub.stop()


def is_alive(url: str) -> bool:
    with contextlib.suppress(OSError):
        return Caller(url).send("GET", "/health/alive").status_code == 200
    return False


@dataclass
class Identity:
    """Somebody who asks: by headers. `scopes` is what the table says; None for nobody."""

    title: str
    name: str
    scopes: frozenset[str] | None
    headers: dict[str, str] = field(default_factory=dict)
    # May nothing to services that its key does not carry.
    service_names: tuple[str, ...] = ()
    row: Any = None
    # Makes somebody of another name who may the same; None for who may nothing anyway.
    another: Callable[[str], Identity] | None = None


@dataclass(frozen=True)
class Answer:
    """What the hub answered."""

    status_code: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.content)


class Caller:
    """Sends requests to the hub over one connection; a library would take most of the time."""

    def __init__(self, url: str) -> None:
        self._address = url.rpartition("//")[2]
        self._connection = HTTPConnection(self._address, timeout=30)

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Send a request, once more where the hub has ended the connection meanwhile."""
        sent: dict[str, Any] = {name: _header(value) for name, value in (headers or {}).items()}
        body = content
        if body is None and method not in ("GET", "DELETE"):
            body = dumps({} if json is None else json).encode("utf-8", "surrogatepass")
            sent.setdefault("Content-Type", "application/json")
        target = f"{path}?{urlencode(params)}" if params else path
        for is_last in (False, True):
            try:
                self._connection.request(method, target, body, sent)
                return self._read(is_stream=path == "/events")
            except (RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
                self._connection.close()
                if is_last:
                    raise AssertionError(f"{method} {path} is not answered: {error!r}") from error
            except TimeoutError as error:
                raise AssertionError(f"{method} {path} is not answered: {error!r}") from error
        raise AssertionError

    def _read(self, *, is_stream: bool) -> Answer:
        answer = self._connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        if is_stream and answer.status == 200:  # does not end by itself
            self._connection.close()
            return Answer(answer.status, headers, b"")
        return Answer(answer.status, headers, answer.read())

    def as_one(self, who: Identity, method: str, path: str, body: Any = None) -> Answer:
        """Send a request as somebody, with a JSON body where the method takes one."""
        return self.send(method, path, headers=who.headers, json=body)


def _header(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8")


def by_key(title: str, name: str, role: str, may: frozenset[str] | None, **more: Any) -> Identity:
    from tests import factories

    key, text = factories.make_key(role, name=name, **more)
    patterns = tuple(more.get("service_names", ()))
    headers = {"Authorization": f"Bearer {text}"}

    def another(other: str) -> Identity:
        return by_key(title, other, role, may, **more)

    return Identity(title, name, may, headers, patterns, key, another if may is not None else None)


def by_session(title: str, person: Any, scopes: frozenset[str] | None) -> Identity:
    from django.test import Client

    client = Client()
    client.force_login(person)
    token = "t" * 32
    cookies = f"{client.cookies['sessionid'].OutputString().split(';')[0]}; csrftoken={token}"
    headers = {"Cookie": cookies, "X-CSRFToken": token, "Referer": os.environ.get("HUB_URL", "")}

    def another(other: str) -> Identity:
        copy = type(person).objects.create_user(
            other, is_staff=person.is_staff, is_superuser=person.is_superuser
        )
        copy.groups.set(person.groups.all())
        copy.user_permissions.set(person.user_permissions.all())
        return by_session(title, copy, scopes)

    return Identity(title, person.get_username(), scopes, headers, row=person, another=another)


@cache
def everybody() -> tuple[Identity, ...]:
    """Return one of each identity that docs/authority.md lists."""
    from datetime import timedelta

    from django.contrib.auth.models import Group, Permission, User
    from django.utils import timezone

    from core.roles import SCOPES, Role, scopes_of_role

    now = timezone.now()
    who = [
        Identity("nobody", "", None),
        Identity("stranger", "", None, {"Authorization": "Bearer si_00000000_nobody-made-it"}),
        by_key("revoked key", "revoked", "OPERATOR", None, revoked_at=now),
        by_key("expired key", "expired", "OPERATOR", None, expires_at=now - timedelta(hours=1)),
        by_key("key from elsewhere", "elsewhere", "OPERATOR", None, networks=["10.0.0.0/8"]),
    ]
    for role in Role:
        scopes = scopes_of_role(role)
        who.append(by_key(f"key of {role}", f"key-{role}".lower(), role, scopes))
        person = User.objects.create_user(f"person-{role}".lower(), is_staff=True)
        person.groups.set(Group.objects.filter(name=role.group_name))
        who.append(by_session(f"person of {role}", person, scopes))
    for scope in SCOPES:
        name = f"only-{scope.replace(':', '-')}"
        who.append(
            by_key(f"key with {scope}", name, "OPERATOR", frozenset({scope}), scopes=[scope])
        )
    who.append(
        by_key("key with patterns", "patterned", "SERVICE", scopes_of_role("SERVICE"),
               service_names=["of-patterned*"], service_types=["CUSTOM"])
    )  # fmt: skip
    guest = User.objects.create_user("guest")
    who.append(by_session("person without a role", guest, None))
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    who.append(by_session("person with permissions", clerk, frozenset()))
    root = User.objects.create_superuser("superuser")
    who.append(by_session("superuser", root, frozenset(SCOPES)))
    return tuple(who)
