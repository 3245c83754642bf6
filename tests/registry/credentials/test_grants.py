"""A credential goes with what was granted, whoever says later that something else is to be sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps

from core.models import AuditEntry
from registry.models import CredentialEvent, Integration, Service, ServiceAction
from registry.policies.credential_grants import GrantState, OwnGrant, call_at, state_of
from tests import factories
from tests.support.connections import WebServer, make_connection
from tests.support.credentials import make_credential, serving

pytestmark = pytest.mark.once
SECRET = "Bearer bearer-0123456789"


# --- The decision ---


@pytest.mark.parametrize(
    ("grant", "state"),
    [
        (None, GrantState.MISSING),
        (OwnGrant(frozenset({"b"}), frozenset({"GET /read"}), "x", ""), GrantState.MISSING),
        (OwnGrant(frozenset({"a"}), frozenset({"GET /other"}), "x", ""), GrantState.CHANGED),
        (OwnGrant(frozenset({"a"}), frozenset({"GET /read"}), "x", ""), GrantState.GRANTED),
    ],
)
def test_a_use_is_granted_as_it_was_seen(grant: OwnGrant | None, state: GrantState) -> None:
    assert state_of(grant, credential="a", calls={"GET /read"}) == state


def test_a_call_is_told_by_method_and_path_and_not_by_host() -> None:
    asked = call_at("https://a.example/api/", method="GET", path="/orders/{id}")
    assert asked == "GET /api/orders/{id}"
    assert call_at("https://b.example:9/api", method="GET", path="/orders/{id}") == asked
    assert call_at("https://a.example/admin", method="GET", path="/orders/{id}") != asked


# --- What goes out ---


@pytest.fixture
def web() -> WebServer:
    return WebServer()


@pytest.fixture
def base(web: WebServer) -> Iterator[str]:
    with serving(web.answer) as url:
        yield url


def _register(caller: Any, base: str, *actions: dict[str, Any], **more: Any) -> Any:
    body = {"name": "billing", "url": base, "actions": [*actions], **more}
    answer = caller.post("/registry/services", body, format="json")
    assert answer.status_code < 300, answer.content
    return answer


def _call(action: str = "read") -> Any:
    caller = factories.caller(scopes=["actions:execute", "registry:read"])
    return caller.post(f"/registry/services/billing/actions/{action}/execute", {}, format="json")


READ = {"name": "read", "method": "GET", "path": "/read"}


def _linked(base: str, **more: Any) -> Any:
    """A service that its owner registered and to which an operator linked a credential."""
    owner = factories.caller("SERVICE", name="owner")
    _register(owner, base, READ, **more)
    make_credential(name="token", allowed_origins=["/".join(base.split("/")[:3])])
    operator = factories.caller("OPERATOR")
    answer = operator.patch("/registry/services/billing", {"credential": "token"}, format="json")
    assert answer.status_code == 200, answer.content
    return owner


# How the owner of a service turns what was linked into something else: the request that it makes.
CHANGES: dict[str, Callable[[Any, str], Any]] = {
    "another method and path": lambda owner, base: _register(
        owner, base, {**READ, "method": "DELETE", "path": "/admin/everything"}
    ),
    "another path by PATCH": lambda owner, base: owner.patch(
        "/registry/services/billing", {"actions": [{**READ, "path": "/secret"}]}, format="json"
    ),
    "the path of its address": lambda owner, base: owner.patch(
        "/registry/services/billing", {"url": f"{base}/admin"}, format="json"
    ),
    "an instance at another path": lambda owner, base: (
        owner.delete(f"/registry/services/billing/instances/{_only_instance()}"),
        owner.post("/registry/services/billing/instances", {"url": f"{base}/admin"}, format="json"),
    ),
}


def _only_instance() -> str:
    return str(Service.objects.get().instances.get().pk)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_client")
@pytest.mark.parametrize("change", CHANGES)
def test_what_an_owner_changes_is_not_sent_with_the_secret(
    change: str, web: WebServer, base: str
) -> None:
    owner = _linked(base)
    assert _call().status_code == 200
    assert web.requests[-1][2]["Authorization"] == SECRET
    before = len(web.requests)
    CHANGES[change](owner, base)
    refused = _call()
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert "POST /registry/services/billing/grants" in refused.json()["detail"]
    assert len(web.requests) == before
    told = owner.get("/registry/services/billing/grants").json()
    assert (told["complete"], told["grants"][0]["state"]) == (False, "CHANGED")
    assert owner.post("/registry/services/billing/grants").status_code == 403
    allowed = factories.caller("OPERATOR", name="ada").post("/registry/services/billing/grants")
    assert allowed.json()["grants"][0]["granted_by"] == "ada"
    assert _call().status_code == 200
    entry = AuditEntry.objects.filter(verb="GRANTED", actor="ada").get()
    assert entry.object_name == "billing"
    assert CredentialEvent.objects.filter(kind="GRANTED", actor="ada").exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_client")
def test_a_new_action_of_an_owner_is_not_granted(web: WebServer, base: str) -> None:
    owner = _linked(base)
    _register(owner, base, READ, {"name": "wipe", "method": "DELETE", "path": "/everything"})
    assert _call("wipe").json()["code"] == "permission_denied"
    assert _call("read").status_code == 200
    states = {
        g["subject"]: g["state"] for g in owner.get("/services/billing/grants").json()["grants"]
    }
    assert states == {"read": "GRANTED", "wipe": "MISSING"}
    operator = factories.caller("OPERATOR")
    some = operator.post("/services/billing/grants", {"actions": ["wipe"]}, format="json")
    assert some.json()["complete"]
    wrong = operator.post("/services/billing/grants", {"actions": ["no"]}, format="json")
    assert (wrong.status_code, "no action 'no'" in wrong.content.decode()) == (400, True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_client")
def test_a_registration_that_says_the_same_keeps_the_grant(web: WebServer, base: str) -> None:
    owner = _linked(base)
    _register(owner, base, READ)
    _register(owner, base, {**READ, "description": "Reads."})
    assert _call().status_code == 200
    by_operator = factories.caller("OPERATOR")
    moved = {**READ, "path": "/v2/read"}
    by_operator.patch("/services/billing", {"actions": [moved]}, format="json")
    assert _call().status_code == 200
    assert web.paths[-1] == "GET /v2/read"


# --- Integrations ---

ORDERS = {"name": "orders", "target": {"connection": "shop", "method": "GET", "path": "/orders"}}


def _execute() -> Any:
    caller = factories.caller(scopes=["actions:execute"])
    return caller.post("/registry/integrations/orders/execute", {}, format="json")


def _shop(base: str, **more: Any) -> None:
    make_credential(name="token", allowed_origins=[base])
    make_connection(name="shop", base_url=base, **more)


INTEGRATION_CHANGES: dict[str, dict[str, Any]] = {
    "method and path": {
        "target": {"connection": "shop", "method": "DELETE", "path": "/everything"}
    },
    "mapping": {"request_mapping": {"all": "$.input"}},
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_client")
@pytest.mark.parametrize("change", INTEGRATION_CHANGES)
def test_who_may_only_write_the_registry_turns_no_integration_into_another(
    change: str, web: WebServer, base: str
) -> None:
    _shop(base, credential="token")
    operator = factories.caller("OPERATOR")
    assert operator.post("/registry/integrations", ORDERS, format="json").status_code == 201
    assert _execute().status_code == 200
    writer = factories.caller(scopes=["registry:read", "registry:write"])
    body = INTEGRATION_CHANGES[change]
    refused = writer.patch("/registry/integrations/orders", body, format="json")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    described = writer.patch("/registry/integrations/orders", {"description": "x"}, format="json")
    assert described.status_code == 200
    assert _execute().status_code == 200
    assert set(web.paths) == {"GET /orders"}
    assert operator.patch("/registry/integrations/orders", body, format="json").status_code == 200
    assert _execute().status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_client")
def test_a_row_that_was_changed_past_the_api_is_not_sent(web: WebServer, base: str) -> None:
    _shop(base, credential="token")
    factories.caller("OPERATOR").post("/registry/integrations", ORDERS, format="json")
    Integration.objects.update(method="DELETE", path="/everything")
    assert _execute().json()["code"] == "permission_denied"
    assert web.requests == []
    told = factories.caller("VIEWER").get("/registry/integrations/orders/grants").json()
    assert told["grants"][0]["state"] == "CHANGED"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_client")
def test_an_integration_whose_target_gets_a_credential_later_is_allowed_first(
    web: WebServer, base: str
) -> None:
    _shop(base)
    writer = factories.caller(scopes=["registry:read", "registry:write", "actions:execute"])
    assert writer.post("/registry/integrations", ORDERS, format="json").status_code == 201
    assert _execute().status_code == 200
    operator = factories.caller("OPERATOR")
    operator.patch("/registry/connections/shop", {"credential": "token"}, format="json")
    assert _execute().json()["code"] == "permission_denied"
    assert writer.post("/registry/integrations/orders/grants").status_code == 403
    assert operator.post("/registry/integrations/orders/grants").json()["complete"]
    assert _execute().status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_client")
def test_an_integration_follows_its_service_to_another_name(web: WebServer, base: str) -> None:
    _linked(base)
    operator = factories.caller("OPERATOR")
    body = {"name": "orders", "target": {"service": "billing", "action": "read"}}
    assert operator.post("/registry/integrations", body, format="json").status_code == 201
    operator.patch("/registry/services/billing", {"name": "invoices"}, format="json")
    assert _execute().status_code == 200


# --- Connections ---


@pytest.mark.django_db
@pytest.mark.parametrize(
    "config",
    [{"headers": {"X-HTTP-Method-Override": "DELETE"}}, {"test_path": "/admin/everything"}],
    ids=["headers", "test"],
)
def test_what_is_sent_beside_a_secret_is_for_who_may_use_it(config: dict[str, Any]) -> None:
    _shop("http://127.0.0.1:9", credential="token")
    writer = factories.caller(scopes=["registry:read", "registry:write"])
    refused = writer.patch("/registry/connections/shop", {"config": config}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    slower = {"config": {"timeout_seconds": 3}}
    assert writer.patch("/registry/connections/shop", slower, format="json").status_code == 200
    operator = factories.caller("OPERATOR")
    changed = operator.patch("/registry/connections/shop", {"config": config}, format="json")
    assert changed.status_code == 200


# --- The upgrade ---


@pytest.mark.django_db
def test_the_upgrade_grants_what_is_used_and_says_so(base: str) -> None:
    _linked(base)
    make_connection(name="shop", base_url=base, credential="token")
    factories.caller("OPERATOR").post("/registry/integrations", ORDERS, format="json")
    ServiceAction.objects.update(credential_grant={})
    Integration.objects.update(credential_grant={})
    AuditEntry.objects.all().delete()
    migration = import_module("registry.migrations.0025_grant_what_is_used")
    migration.grant_actions(apps, None)
    migration.grant_integrations(apps, None)
    viewer = factories.caller("VIEWER")
    for path in ("services/billing", "integrations/orders"):
        told = viewer.get(f"/registry/{path}/grants").json()
        assert told["complete"] and told["grants"][0]["granted_by"] == "upgrade", path
    assert set(AuditEntry.objects.values_list("verb", "object_name")) == {
        ("GRANTED", "billing"), ("GRANTED", "orders"),
    }  # fmt: skip
    assert "upgrade" in json.dumps(list(AuditEntry.objects.values("reason")))
