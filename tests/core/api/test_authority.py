"""Who may what, as docs/authority.md says: each of its rows, and nothing beside them."""

from __future__ import annotations

import itertools
import re
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from drf_spectacular.generators import EndpointEnumerator
from rest_framework.test import APIClient

from core.models import ApiKey
from core.roles import SCOPES, Role, scopes_of_role
from monitoring.models import PageVisibility, StatusPage
from registry.models import Service
from tests import factories
from tests.support.authority import (
    Effect,
    changes,
    decisions,
    effects,
    expected,
    page_answers,
    page_paths,
    page_requests,
)
from tests.support.people import in_groups
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


LIST = "/registry/services"


def _revoke(key: ApiKey) -> None:
    key.revoked_at = timezone.now()


def _expire(key: ApiKey) -> None:
    key.expires_at = timezone.now() - timedelta(seconds=1)


def _move(key: ApiKey) -> None:
    key.networks = ["10.0.0.0/8"]


def _demote(key: ApiKey) -> None:
    key.role = Role.VIEWER


def _narrow(key: ApiKey) -> None:
    key.scopes = ["audit:read"]


KEY_CHANGES: dict[str, tuple[Any, frozenset[str] | None]] = {
    "the key is revoked": (_revoke, None),
    "the key expires": (_expire, None),
    "the networks of the key are others": (_move, None),
    "the role of the key becomes VIEWER": (_demote, scopes_of_role("VIEWER")),
    "the scopes of the key become `audit:read`": (_narrow, frozenset({"audit:read"})),
}
SOME = [e for e in effects() if str(e) in (
    "GET /registry/services", "POST /registry/services", "POST /workflows", "GET /audit",
    "POST /workflows/{workflow}/execute", "POST /registry/services/{service}/heartbeat",
)]  # fmt: skip


@pytest.mark.parametrize("change", KEY_CHANGES)
def test_changed_key_may_at_once_what_the_table_says(change: str) -> None:
    key, text = factories.make_key("OPERATOR")
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_X_API_KEY=text)
    for effect in SOME:
        assert expected(effect, scopes_of_role("OPERATOR")).fits(send(client, effect))
    act, scopes = KEY_CHANGES[change]
    act(key)
    key.save()
    for effect in SOME:
        assert expected(effect, scopes).fits(send(client, effect)), effect


@pytest.mark.parametrize("change", ["groups", "inactive"])
def test_changed_person_may_at_once_what_the_table_says(change: str) -> None:
    client: Client = in_groups("operator")
    assert client.get(LIST).status_code == 200
    person = User.objects.get()
    if change == "groups":
        person.groups.clear()
    else:
        person.is_active = False
        person.save()
    assert [send(client, effect) for effect in SOME] == [401] * len(SOME)


def test_every_change_of_the_table_has_a_test() -> None:
    here = {
        *KEY_CHANGES,
        "the key is deleted",  # tests/core/api/test_known_keys.py
        "the groups of the person are taken away",
        "the person is made inactive",
        "the service is given to another owner",  # as of others, above
        "the patterns of the key leave the service out",  # test_registration_rights.py
        "what a credential goes with gets another target",  # tests/registry/credentials
        "a credential is linked to what something leads to",  # tests/registry/credentials
        "the version is replaced",  # tests/workflows/api
        "a credential is linked to what a version of a workflow calls",  # tests/workflows
        "the approval is given",  # tests/workflows/services/test_kept_approvals.py
    }
    assert set(changes()) == here


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
