"""Every identity that a later change befalls, with every effect from then on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from core.models import ApiKey
from registry.models import Service
from tests.security.findings import Findings
from tests.security.matrix import Subjects, is_owned, send, subjects_of
from tests.security.world import Caller, Identity, everybody
from tests.support.authority import Change, Effect, changes, effects, expected, is_about_service
from tests.support.real_hub import Hub

SECTION, ALIVE = "identities x effects x later changes", "before the change"
Act = Callable[[Caller, Identity], None]


def run(caller: Caller, findings: Findings, _: Hub) -> None:
    """Change somebody as the table says, and ask for everything; each time somebody else."""
    subjects = subjects_of(caller)
    for case in islice(befallen(), 0, None, findings.one_in):
        try_change(caller, findings, subjects, *case, asked=effects())


def try_change(
    caller: Caller,
    findings: Findings,
    subjects: Subjects,
    identity: Identity,
    change: Change,
    number: int,
    *,
    asked: Sequence[Effect],
) -> None:
    """Make somebody as an identity, change them, and hold what is answered against the table."""
    assert identity.another is not None
    somebody = identity.another(f"{identity.name}-{number}")
    somebody.title = f"{identity.title}, {change.title}"
    subjects.service(somebody.name)
    _see_alive(caller, findings, subjects, somebody)
    ACTS[change.title](caller, somebody)
    for effect in asked:
        if change.about != "everything":
            if not is_about_service(effect):
                continue
            give_service(subjects, change, somebody)
        status = change.expected(effect, somebody.scopes).status
        send(caller, findings, subjects, somebody, effect, is_owned(effect), status, SECTION)


def befallen() -> Iterator[tuple[Identity, Change, int]]:
    """Yield whom each change befalls, of all that may anything before."""
    for number, change in enumerate(changes()):
        for identity in everybody():
            if identity.another is not None and _BEFALLS[change.befalls](identity):
                yield identity, change, number


_BEFALLS: dict[str, Callable[[Identity], bool]] = {
    "everybody": lambda one: bool(one.scopes),
    "keys": lambda one: isinstance(one.row, ApiKey),
    "keys without scopes": lambda one: isinstance(one.row, ApiKey) and not one.row.scopes,
    "persons": lambda one: isinstance(one.row, User) and one.scopes is not None,
    "persons with groups": lambda one: isinstance(one.row, User) and one.row.groups.exists(),
}


def _see_alive(caller: Caller, findings: Findings, subjects: Subjects, identity: Identity) -> None:
    """See that somebody is let in before the change: otherwise it would prove nothing."""
    seen = [e for e in effects() if e.method == "GET" and e.path != "/events"]
    effect: Effect = next((e for e in seen if not expected(e, identity.scopes).status), seen[0])
    status = expected(effect, identity.scopes).status
    send(caller, findings, subjects, identity, effect, is_owned(effect), status, ALIVE)


# --- The changes ---


def give_service(subjects: Subjects, change: Change, identity: Identity) -> None:
    """Give the service of somebody, made anew where a request ended it, to another owner."""
    service = subjects.service(identity.name)
    if change.befalls == "everybody":
        Service.objects.filter(pk=service.pk).update(owner="another")


def _over_api(method: str, end: str, fields: Callable[[], dict[str, Any]] = dict) -> Act:
    """Return what changes the key of somebody, as a superuser over the API."""

    def act(caller: Caller, identity: Identity) -> None:
        superuser = everybody()[-1]
        answer = caller.as_one(superuser, method, f"/keys/{identity.name}{end}", fields())
        assert answer.status_code < 300, answer.text

    return act


def _expire(caller: Caller, identity: Identity) -> None:
    end = timezone.now() + timedelta(seconds=0.5)
    _over_api("PATCH", "", lambda: {"expires_at": end.isoformat()})(caller, identity)
    threading.Event().wait(0.6)


def _take_groups(_: Caller, identity: Identity) -> None:
    identity.row.groups.clear()


def _deactivate(_: Caller, identity: Identity) -> None:
    User.objects.filter(pk=identity.row.pk).update(is_active=False)


def _before_each_request(_: Caller, identity: Identity) -> None:
    """Leave it to `give_service`."""


ACTS: dict[str, Act] = {
    "the key is revoked": _over_api("POST", "/revoke"),
    "the key expires": _expire,
    "the key is deleted": _over_api("DELETE", ""),
    "the networks of the key are others": _over_api(
        "PATCH", "", lambda: {"networks": ["10.0.0.0/8"]}),
    "the role of the key becomes VIEWER": _over_api("PATCH", "", lambda: {"role": "VIEWER"}),
    "the scopes of the key become `audit:read`": _over_api(
        "PATCH", "", lambda: {"scopes": ["audit:read"]}),
    "the patterns of the key leave the service out": _over_api(
        "PATCH", "", lambda: {"service_names": ["x"]}),
    "the groups of the person are taken away": _take_groups,
    "the person is made inactive": _deactivate,
    "the service is given to another owner": _before_each_request,
}  # fmt: skip
