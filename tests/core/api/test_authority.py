"""Who may what, as docs/authority.md says: each of its rows, and nothing beside them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from importlib import import_module
from json import dumps, loads
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from drf_spectacular.generators import EndpointEnumerator
from rest_framework.test import APIClient

from core.roles import SCOPES
from integration_site.admin_groups import create_roles
from monitoring.models import PageVisibility, StatusPage
from registry.models import Service
from tests import factories
from tests.security.changes import ACTS, befallen, try_change
from tests.security.findings import Findings
from tests.security.matrix import Subjects
from tests.security.scenarios import SCENARIOS
from tests.security.world import Identity, everybody
from tests.support.authority import (
    Effect,
    changes,
    decisions,
    effects,
    expected,
    later_rules,
    page_answers,
    page_paths,
    page_requests,
)
from workflows.models import WorkflowExecution

pytestmark = pytest.mark.django_db
# Answered without a key, or under another path too.
OPEN = (
    "/health/alive", "/health/ready", "/schema", "/docs",
    # by the names of other platforms
    "/alive", "/ready", "/health/liveness", "/health/readiness", "/health/dependencies",
    "/openapi.json", "/redoc",
    # what takes the token of a job
    "/push/{}", "/push/{}/{}",
)  # fmt: skip
BEAT = "POST /registry/services/{service}/heartbeat"
each_effect = pytest.mark.parametrize("effect", effects(), ids=str)


@pytest.mark.once
def test_every_request_of_the_api_is_in_the_table() -> None:
    listed = {(effect.method, re.sub(r"\{\w+\}", "{}", effect.path)) for effect in effects()}
    listed |= {("GET", re.sub(r"\{\w+\}", "{}", each.split()[1])) for each in page_requests()}
    types = {path for _, path in listed if path.startswith("/workflows/") and "{" not in path}
    missing = []
    for path, _, method, view in EndpointEnumerator().get_api_endpoints():
        plain = re.sub(r"\{\w+\}", "{}", path.removeprefix("/api"))
        plain = re.sub(r"^/(services|integrations)", r"/registry/\1", plain)
        # Names of built-in workflows are paths of their own, and read like any workflow.
        plain = plain.replace("/health/incidents", "/monitoring/incidents")
        is_by_type = plain in types and method != "POST"
        is_open = plain in OPEN or (method, plain) == ("POST", "/webhooks/{}")
        if (method, plain) not in listed and not is_by_type and not is_open:
            missing.append(f"{method} {path} ({view.__name__})")
    assert missing == []


@pytest.mark.once
def test_scopes_and_code_that_the_document_names_are_there() -> None:
    named = {scope for effect in effects() for scope in effect.takes | effect.of_others}
    assert named <= set(SCOPES)
    for name in decisions():
        module, _, attribute = name.rpartition(".")
        try:
            import_module(name)
        except ModuleNotFoundError:
            assert hasattr(import_module(module), attribute), name


def send(client: Any, effect: Effect, **names: str) -> int:
    path = effect.filled({**dict.fromkeys(PLACES, "x"), "version": "1", "event": "1", **names})
    body = {"name": "x"} if path.endswith("/signal") else {}
    send_it = getattr(client, effect.method.lower())
    answer = send_it(path, body, content_type="application/json") if body else send_it(path)
    return int(answer.status_code)


PLACES = {name for effect in effects() for name in re.findall(r"\{(\w+)\}", effect.path)}


@each_effect
def test_each_scope_alone_is_enough_and_all_others_are_not(effect: Effect) -> None:
    assert send(APIClient(), effect) == 401
    names = dict.fromkeys(("type",), "custom")
    assert send(factories.caller(scopes=sorted(set(SCOPES) - effect.takes)), effect, **names) == 403
    for scope in effect.takes:
        status = send(factories.caller(scopes=[scope]), effect, **names)
        assert expected(effect, frozenset({scope})).fits(status), status
        assert status != 405


OWNED = [effect for effect in effects() if effect.owned in ("service", "execution")]


@pytest.mark.parametrize("effect", OWNED, ids=str)
def test_what_is_of_others_takes_the_wider_scope(effect: Effect) -> None:
    service = factories.make_service("mine", urls=("http://a",), owner="me")
    execution = factories.make_execution(started_by="me")
    names = {
        "service": "mine",
        "execution": str(execution.pk),
        "instance": str(service.instances.get().pk),
        "step": "shout",
    }
    narrow = sorted(effect.takes - effect.of_others)
    other = factories.caller(scopes=narrow, name="other")
    assert send(other, effect, **names) == 403
    assert Service.objects.filter(pk=service.pk, updated_at=service.updated_at).exists()
    assert WorkflowExecution.objects.get(pk=execution.pk).status == execution.status
    wide = factories.caller(scopes=sorted(effect.of_others), name="wide")
    for client in (factories.caller(scopes=narrow, name="me"), wide):
        service = (
            factories.make_service("mine", urls=("http://a",), owner="me")
            if not (Service.objects.filter(name="mine").exists())
            else service
        )
        names["instance"] = str(next((i.pk for i in service.instances.all()), "x"))
        assert expected(effect, effect.takes).fits(send(client, effect, **names))


def test_status_pages_are_shown_to_whom_the_table_says() -> None:
    who = {
        "nobody": [APIClient()],
        "without": [factories.caller(scopes=sorted(set(SCOPES) - {"registry:read"}), name="less")],
        "with": [factories.caller(scopes=["registry:read"], name="reader")],
    }
    stranger = APIClient()
    stranger.credentials(HTTP_X_API_KEY="si_00000000_nobody-made-it")
    who["nobody"].append(stranger)
    for each in PageVisibility:
        StatusPage.objects.create(name=f"page-{each}", visibility=each, components=[])
    told = list(page_answers())
    assert {visibility for visibility, _, _ in told} == set(PageVisibility)
    for visibility, column, wanted in told:
        for path, client in itertools.product(page_paths(f"page-{visibility}"), who[column]):
            assert client.get(path).status_code == wanted, (path, column)
    assert APIClient().get("/status")["Location"] == "/status/page-PUBLIC"


class LocalCaller:
    """Sends requests to the hub in this process, as `Caller` does over a connection."""

    def send(self, method: str, path: str, *, headers: Any = None, json: Any = None,
             content: bytes | None = None) -> Any:  # fmt: skip
        client = Client(raise_request_exception=False, headers=headers)
        body = content if content is not None else dumps({} if json is None else json)
        answer = client.generic(method, path, body, content_type="application/json")
        if answer.streaming:  # does not end by itself
            answer.close()
        text = "" if answer.streaming else answer.content.decode("utf-8", "replace")
        return SimpleNamespace(
            status_code=answer.status_code,
            text=text,
            content=text.encode(),
            json=lambda: loads(text),
        )

    def as_one(self, who: Identity, method: str, path: str, body: Any = None) -> Any:
        return self.send(method, path, headers=who.headers, json=body)


@pytest.fixture
def fresh_everybody() -> Iterator[None]:
    """Everybody anew, as rows of a test do not outlive it."""
    create_roles()
    everybody.cache_clear()
    yield
    everybody.cache_clear()


# Of whom a change befalls, and of the effects, one of so many; `./dev security` tries all.
SOME_IDENTITIES, SOME_EFFECTS = 23, 16


@pytest.mark.usefixtures("fresh_everybody")
def test_after_each_later_change_what_is_left_is_as_the_table_says() -> None:
    caller: Any = LocalCaller()
    findings, subjects = Findings(), Subjects(caller)
    cases = list(befallen())
    some = {change: case for n, case in enumerate(cases) for change in [case[1]]
            if n % SOME_IDENTITIES == 0 or change not in [c[1] for c in cases[:n]]}  # fmt: skip
    assert [*some] == changes()
    for n, case in enumerate(some.values()):
        is_about_all = case[1].about == "everything"
        asked = effects()[n::SOME_EFFECTS] if is_about_all else effects()
        try_change(caller, findings, subjects, *case, asked=asked)
    assert findings.total > 150
    assert findings.through == {}


@pytest.mark.once
def test_each_later_change_of_the_table_is_tried() -> None:
    assert {change.title for change in changes()} == set(ACTS)
    assert {rule.change for rule in later_rules()} == set(SCENARIOS)


@pytest.mark.once
@pytest.mark.parametrize(
    ("title", "scopes", "request_", "wanted"),
    [
        ("the key is revoked", {"registry:read"}, "GET /audit", 401),
        ("the role of the key becomes VIEWER", set(SCOPES), "POST /workflows", 403),
        ("the role of the key becomes VIEWER", set(SCOPES), "GET /workflows", 0),
        ("the scopes of the key become `audit:read`", set(), "GET /audit", 0),
        ("the service is given to another owner", {"registry:register"}, BEAT, 403),
        ("the service is given to another owner", {"registry:write"}, BEAT, 0),
        ("the patterns of the key leave the service out", {"registry:write"}, BEAT, 403),
    ],
)
def test_the_table_of_later_changes_says_what_it_reads_like(
    title: str, scopes: set[str], request_: str, wanted: int
) -> None:
    change = next(change for change in changes() if change.title == title)
    effect = next(effect for effect in effects() if str(effect) == request_)
    assert change.expected(effect, frozenset(scopes)).status == wanted


def test_nobody_takes_the_name_of_somebody_else() -> None:
    """Services, executions and decisions are known by the name of who made them."""
    User.objects.create_superuser("root")
    maker = factories.caller(scopes=sorted(SCOPES))
    for name in ("root", "ROOT", "anonymous"):
        refused = maker.post("/keys", {"name": name})
        assert (refused.status_code, [*refused.json()["errors"]]) == (400, ["name"])
    maker.post("/keys", {"name": "made"})
    assert maker.patch("/keys/made", {"name": "root"}).status_code == 400
    page = Client()
    page.force_login(User.objects.get(username="root"))
    form = {"username": "made", "password1": "a-long-pass-1", "password2": "a-long-pass-1"}
    page.post("/admin/auth/user/add/", {**form, "role": "viewer"})
    assert not User.objects.filter(username="made").exists()
