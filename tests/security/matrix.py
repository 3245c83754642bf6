"""Every identity times every effect of docs/authority.md, and after each later change again."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, User
from django.utils import timezone

from core.roles import scopes_of_role
from monitoring.models import PageVisibility, StatusPage
from registry.models import Service
from tests import factories
from tests.security.findings import Findings, say
from tests.security.rows import Rows
from tests.security.scenarios import SCENARIOS
from tests.security.world import Caller, Identity, by_key, by_session, everybody
from tests.support.authority import (
    Effect,
    Expected,
    changes,
    effects,
    expected,
    page_answers,
    page_paths,
    who_of_pages,
)
from tests.support.real_hub import Hub

PAGES = "identities x status pages"
MATRIX, UNCHANGED, LATER = "identities x effects", "refused, and nothing changed", "later changes"
OTHERS = "of-others"
# Written also where a request is refused, and by the hub itself.
NOT_OF_REQUESTS = ("LoginFailure", "CredentialEvent", "Permission", "DiscoveryState")


class Subjects:
    """What requests are about: rows of each identity, made anew where an effect ended them."""

    def __init__(self, caller: Caller) -> None:
        self._rows = Rows(caller)
        self._executions: dict[str, Any] = {}
        self.workflow = factories.make_workflow("matrix")
        self.service(OTHERS)
        self.execution(OTHERS)

    def service(self, owner: str) -> Any:
        name = f"of-{owner}".replace("of-of-", "of-")
        service = Service.objects.filter(name=name).first()
        return service or factories.make_service(name, urls=("http://127.77.0.1:9",), owner=owner)

    def execution(self, owner: str) -> Any:
        if owner not in self._executions:
            execution = factories.make_execution(self.workflow, started_by=owner)
            self._executions[owner] = execution
        return self._executions[owner]

    PLACES = sorted({p for e in effects() for p in re.findall(r"\{(\w+)\}", e.path)})

    def names(self, effect: Effect, owner: str) -> dict[str, str]:
        """Return what stands in the places of the path of an effect."""
        places = re.findall(r"\{(\w+)\}", effect.path)
        # Of bulk operations, one of others would have to be refused.
        names = {p: self._rows.name(p) if effect.owned != p else "nothing" for p in places}
        names |= {"type": "CUSTOM", "version": "1", "event": "1", "step": "shout", "action": "a"}
        if effect.owned == "service":
            service = self.service(owner)
            names["service"] = service.name
            names["instance"] = str(next((i.pk for i in service.instances.all()), "nothing"))
        elif effect.owned == "execution":
            names["execution"] = str(self.execution(owner).pk)
        elif "execution" in places:
            names["execution"] = str(self.execution(OTHERS).pk)
        return names

    def make_all(self) -> None:
        """Make all rows that are missing, so that what is refused meets them."""
        for effect in effects():
            self.names(effect, OTHERS)


def body_of(effect: Effect, subjects: Subjects, owner: str, *, is_allowed: bool) -> Any:
    """Return a body with which the effect would happen, where it takes one to be told apart."""
    if effect.path.endswith("/signal"):
        return {"name": "x"}
    if str(effect) == "POST /registry/services":
        return {"name": subjects.service(owner).name, "url": "http://127.77.0.1:9"}
    # Nobody ends what is started: without workers it would be waited for.
    return ["no object"] if effect.name == "start" and is_allowed else {}


def is_owned(effect: Effect) -> bool:
    return effect.owned in ("service", "execution") or str(effect) == "POST /registry/services"


def cases(who: list[Identity]) -> Iterator[tuple[Identity, Effect, bool, int]]:
    """Yield every identity with every effect, on its own and on what is of others."""
    for identity in who:
        for effect in effects():
            for own in (False, True) if is_owned(effect) and identity.scopes else (False,):
                is_own = own if is_owned(effect) else True
                status = expected(effect, identity.scopes, own=is_own).status
                if not status and _lacks_pattern(identity, effect, own):
                    status = 403
                yield identity, effect, own, status


def _lacks_pattern(identity: Identity, effect: Effect, own: bool) -> bool:
    about_service = effect.owned == "service" or str(effect) == "POST /registry/services"
    return bool(identity.service_names) and about_service and not own


def run(caller: Caller, findings: Findings, _: Hub) -> None:
    """Send all that has to be refused, see that nothing changed; then all that is allowed."""
    subjects, who = Subjects(caller), everybody()
    subjects.make_all()
    for identity in who:
        if identity.scopes:
            subjects.service(identity.name)
            subjects.execution(identity.name)
    every = list(cases(who))
    before = digest()
    for identity, effect, own, status in every:
        if status:
            send(caller, findings, subjects, identity, effect, own, status)
    findings.hold(UNCHANGED, digest() == before, "a refused request changed the tables")
    absent = set()
    for identity, effect, own, status in every:
        if not status:
            answer = send(caller, findings, subjects, identity, effect, own, status)
            absent |= {str(effect)} if answer == 404 else set()
    total = len(effects())
    say(f"  of {total} effects {total - len(absent)} met what is there, each time")
    say(f"    without a row: {', '.join(sorted(absent))}")
    run_pages(caller, findings, who)
    run_changes(caller, findings, subjects, who[-1])


def run_pages(caller: Caller, findings: Findings, who: list[Identity]) -> None:
    """Ask as everybody for a status page of each visibility, in all its forms."""
    for each in PageVisibility:
        StatusPage.objects.create(name=f"page-{each}", visibility=each, components=[])
    for visibility, column, wanted in page_answers():
        for identity in who:
            if who_of_pages(identity.scopes) != column:
                continue
            for path in page_paths(f"page-{visibility}"):
                got = caller.as_one(identity, "GET", path).status_code
                sentence = f"{identity.title}, {path}: {got}, not {wanted}"
                findings.hold(PAGES, got == wanted, sentence)


def send(
    caller: Caller,
    findings: Findings,
    subjects: Subjects,
    identity: Identity,
    effect: Effect,
    own: bool,
    status: int,
    section: str = MATRIX,
) -> int:
    """Ask, hold the answer against what has to come of it, and return its status."""
    owner = identity.name if own else OTHERS
    path = effect.filled(subjects.names(effect, owner))
    answer = caller.as_one(
        identity, effect.method, path, body_of(effect, subjects, owner, is_allowed=not status)
    )
    got, fits = answer.status_code, Expected(status).fits(answer.status_code)
    text = "" if path == "/events" else answer.text
    whose = "its own" if own else "of others"
    wanted = status or "neither 401 nor 403"
    findings.hold(
        section,
        fits,
        f"{identity.title}, {effect} ({whose}): {got}, not {wanted}; {text[:200]}",
    )
    return got


def digest() -> str:
    """Return a digest of all rows that a request might change, but for when keys were used."""
    text = []
    for label in ("core", "registry", "workflows", "monitoring", "model_orchestration", "auth"):
        for model in sorted(apps.get_app_config(label).get_models(), key=lambda m: m.__name__):
            if model.__name__ in NOT_OF_REQUESTS:
                continue
            names = [f.attname for f in model._meta.concrete_fields if f.attname != "last_used_at"]
            rows = model._default_manager.order_by("pk").values_list(*names)
            text += [model.__name__, repr(list(rows))]
    return hashlib.sha256("".join(text).encode()).hexdigest()


# --- Later changes ---


def run_changes(
    caller: Caller, findings: Findings, subjects: Subjects, superuser: Identity
) -> None:
    """Ask as somebody who may, change what the table says, and ask again."""
    for number, change in enumerate(changes()):
        if change not in CHANGES:
            findings.hold(LATER, change in SCENARIOS, f"nothing tries the change: {change}")
            continue
        identity, act, scopes = _prepare(change, f"changed-{number}")
        subjects.service(identity.name)
        _ask_all(caller, findings, subjects, identity, identity.scopes)
        act(caller, superuser, identity)
        _ask_all(caller, findings, subjects, identity, scopes, only_own=False)


def _ask_all(
    caller: Caller,
    findings: Findings,
    subjects: Subjects,
    identity: Identity,
    scopes: frozenset[str] | None,
    *,
    only_own: bool = True,
) -> None:
    for effect in effects():
        if effect.method == "DELETE" and only_own and effect.owned == "service":
            continue  # it is to be there afterwards
        own = is_owned(effect)
        status = expected(effect, scopes, own=True).status
        about_service = own and effect.owned != "execution"
        if not only_own and about_service and "service" in identity.title and not status:
            status = 403
        send(caller, findings, subjects, identity, effect, own, status, LATER)


Act = Callable[[Caller, Identity, Identity], None]


def _over_api(method: str, end: str, fields: Callable[[], dict[str, Any]] = dict) -> Act:
    """Return what changes the key of somebody, as a superuser over the API."""

    def act(caller: Caller, superuser: Identity, identity: Identity) -> None:
        answer = caller.as_one(superuser, method, f"/keys/{identity.name}{end}", fields())
        assert answer.status_code < 300, answer.text

    return act


def _expire(caller: Caller, superuser: Identity, identity: Identity) -> None:
    end = timezone.now() + timedelta(seconds=0.5)
    _over_api("PATCH", "", lambda: {"expires_at": end.isoformat()})(caller, superuser, identity)
    threading.Event().wait(0.6)


def _give_service(caller: Caller, superuser: Identity, identity: Identity) -> None:
    Service.objects.filter(owner=identity.name).update(owner="another")


def _take_groups(caller: Caller, superuser: Identity, identity: Identity) -> None:
    identity.row.groups.clear()


def _deactivate(caller: Caller, superuser: Identity, identity: Identity) -> None:
    User.objects.filter(pk=identity.row.pk).update(is_active=False)


# By change: what does it, and the scopes that are left; None for nothing at all.
CHANGES: dict[str, tuple[Act, frozenset[str] | None]] = {
    "the key is revoked": (_over_api("POST", "/revoke"), None),
    "the key expires": (_expire, None),
    "the key is deleted": (_over_api("DELETE", ""), None),
    "the networks of the key are others": (
        _over_api("PATCH", "", lambda: {"networks": ["10.0.0.0/8"]}), None),
    "the role of the key becomes VIEWER": (
        _over_api("PATCH", "", lambda: {"role": "VIEWER"}), scopes_of_role("VIEWER")),
    "the scopes of the key become `audit:read`": (
        _over_api("PATCH", "", lambda: {"scopes": ["audit:read"]}), frozenset({"audit:read"})),
    "the groups of the person are taken away": (_take_groups, None),
    "the person is made inactive": (_deactivate, None),
    "the service is given to another owner": (_give_service, scopes_of_role("SERVICE")),
    "the patterns of the key leave the service out": (
        _over_api("PATCH", "", lambda: {"service_names": ["x"]}), scopes_of_role("SERVICE")),
}  # fmt: skip


def _prepare(change: str, name: str) -> tuple[Identity, Act, frozenset[str] | None]:
    """Return who it happens to, how, and what the table leaves them."""
    act, left = CHANGES[change]
    if "person" in change:
        person = User.objects.create_user(name, is_staff=True)
        person.groups.set(Group.objects.filter(name="operator"))
        return by_session(change, person, scopes_of_role("OPERATOR")), act, left
    role = "SERVICE" if "service" in change else "OPERATOR"
    return by_key(change, name, role, scopes_of_role(role)), act, left
