"""Every identity times every effect of docs/authority.md, and after each later change again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from django.apps import apps
from django.utils import timezone

from monitoring.models import PageVisibility, StatusPage
from registry.models import Service
from tests import factories
from tests.security.findings import Findings, say
from tests.security.rows import Rows
from tests.security.world import ALLOWED, Caller, Identity, everybody
from tests.support.authority import (
    Effect,
    Expected,
    effects,
    expected,
    is_about_service,
    page_answers,
    page_paths,
    who_of_pages,
)
from tests.support.real_hub import Hub
from workflows.models import BulkOperation

PAGES = "identities x status pages"
MATRIX, UNCHANGED = "identities x effects, allowed", "refused, and nothing changed"
REFUSED, LATER = "identities x effects, refused", "the same once what is asked for changed"
MET = "effects that met a row"
CALL, CALLED = "call an action", "of-called"
ASKING = {"id": "ask", "type": "APPROVAL", "next": "shout"}
OTHERS = "of-others"
# Written also where a request is refused, and by the hub itself.
NOT_OF_REQUESTS = ("LoginFailure", "CredentialEvent", "Permission", "DiscoveryState")


class Subjects:
    """What requests are about: rows of each identity, made anew where an effect ended them."""

    def __init__(self, caller: Caller) -> None:
        self.rows = Rows(caller)
        self._executions: dict[str, Any] = {}
        self.workflow = factories.make_workflow("matrix")
        self.service(OTHERS)
        self.execution(OTHERS)

    def service(self, owner: str) -> Any:
        name = f"of-{owner}".replace("of-of-", "of-")
        service = Service.objects.filter(name=name).first()
        url = f"http://{ALLOWED}:9"
        return service or factories.make_service(name, urls=(url,), actions=("a",), owner=owner)

    def execution(self, owner: str) -> Any:
        if owner not in self._executions:
            execution = factories.make_execution(self.workflow, started_by=owner)
            self._executions[owner] = execution
        return self._executions[owner]

    def bulk(self, owner: str) -> Any:
        given = {"action": "CANCEL", "created_before": timezone.now()}
        found = BulkOperation.objects.filter(actor=owner).first()
        return found or BulkOperation.objects.create(actor=owner, **given)

    PLACES = sorted({p for e in effects() for p in re.findall(r"\{(\w+)\}", e.path)})

    def names(self, effect: Effect, owner: str) -> dict[str, str]:
        """Return what stands in the places of the path of an effect."""
        places = re.findall(r"\{(\w+)\}", effect.path)
        names = {p: self.rows.name(p) for p in places if effect.owned != p}
        names |= {"type": "CUSTOM", "version": "1", "event": "1", "step": "shout", "action": "a"}
        if "bulk" in places:
            names["bulk"] = str(self.bulk(owner if effect.owned else OTHERS).pk)
        elif effect.name == CALL:
            names["service"] = self.service(CALLED).name
        elif effect.owned == "service":
            service = self.service(owner)
            names["service"] = service.name
            names["instance"] = str(next((i.pk for i in service.instances.all()), "nothing"))
        elif effect.owned == "execution":
            names["execution"] = str(self.execution(owner).pk)
        elif "execution" in places:
            execution = self.execution(OTHERS)
            names["execution"] = str(execution.pk)
            if effect.method == "GET":  # an attempt at it
                names["step"] = str(execution.steps.first().pk)
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
    return bool(effect.owned) or is_about_service(effect)


def cases(who: Sequence[Identity]) -> Iterator[tuple[Identity, Effect, bool, int]]:
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
    return bool(identity.service_names) and is_about_service(effect) and not own


@cache
def subjects_of(caller: Caller) -> Subjects:
    """Return the rows that all parts ask about, which are made once."""
    return Subjects(caller)


def run(caller: Caller, findings: Findings, _: Hub) -> None:
    """Send all that has to be refused, see that nothing changed; then all that is allowed.

    What has to be refused is sent again once something became of what it is about.
    """
    subjects, who = subjects_of(caller), everybody()
    subjects.make_all()
    for identity in who:
        if identity.scopes:
            for make in (subjects.service, subjects.execution, subjects.bulk):
                make(identity.name)
    every = list(cases(who))
    _refuse(caller, findings, subjects, every, REFUSED)
    change_all(subjects)
    _refuse(caller, findings, subjects, every, LATER)
    absent = set()
    for identity, effect, own, status in every:
        if not status:
            # Nobody, now that it has another target than was granted.
            status = 403 if effect.name == CALL else 0
            answer = send(caller, findings, subjects, identity, effect, own, status)
            absent |= {str(effect)} if answer == 404 else set()
    total = len(effects())
    say(f"  of {total} effects {total - len(absent)} met what is there, each time")
    for title in sorted(absent):
        findings.hold(MET, False, f"{title} met no row")
    findings.tried(MET, total - len(absent))
    run_pages(caller, findings, who)


def _refuse(
    caller: Caller,
    findings: Findings,
    subjects: Subjects,
    every: Sequence[tuple[Identity, Effect, bool, int]],
    section: str,
) -> None:
    before = digest()
    for identity, effect, own, status in every:
        if status:
            send(caller, findings, subjects, identity, effect, own, status, section)
    findings.hold(UNCHANGED, digest() == before, "a refused request changed the tables")


def change_all(subjects: Subjects) -> None:
    """Do what docs/authority.md lists as changes of what is asked for, to the rows of others."""
    rows = subjects.rows
    credential = rows.name("credential")
    for path, fields in (
        (f"/services/{subjects.service(CALLED).name}", {"credential": credential}),
        (f"/registry/connections/{rows.name('connection')}", {"credential": credential}),
        (f"/workflows/{rows.name('workflow')}", {"steps": [ASKING, *factories.SIMPLE_STEPS]}),
    ):
        rows.patch(path, fields)
    subjects.service(CALLED).actions.update(method="DELETE", path="/everything")


def run_pages(caller: Caller, findings: Findings, who: Sequence[Identity]) -> None:
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
