"""What uses a credential, in the admin: asked of who links one, allowed and withdrawn on pages."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core.models import AuditEntry
from registry.models import Connection, CredentialEvent, Integration, Service
from tests import factories
from tests.registry.admin.test_connection import COMMON, TYPED
from tests.support.connections import make_connection
from tests.support.credentials import make_credential
from tests.support.people import in_groups
from workflows.models import CredentialGrant, WorkflowVersion

pytestmark = [pytest.mark.once, pytest.mark.django_db]
CALL = {"id": "a", "connection": "shop", "action": "GET /x", "next": None}
TARGET = {"connection": "shop", "method": "GET", "path": "/x"}
FORM = {**COMMON, **TYPED["HTTP"], "name": "shop", "port": ""}


@pytest.fixture
def operator() -> Client:
    return in_groups("operator")


def _save(name: str, step: dict[str, Any]) -> WorkflowVersion:
    editor = factories.caller("WORKFLOW_EDITOR", name=f"editor-of-{name}")
    answer = editor.post("/workflows", {"name": name, "steps": [step]}, format="json")
    assert answer.status_code == 201, answer.content
    return WorkflowVersion.objects.get(workflow__name=name)


def _page(row: Any) -> str:
    return reverse(f"admin:registry_{row._meta.model_name}_change", args=(row.pk,))


def _used_connection() -> Connection:
    """A connection that an integration and two workflows call, one of them by the integration."""
    shop = make_connection(name="shop", base_url="http://127.0.0.1:9")
    writer = factories.caller(scopes=["registry:write", "registry:read"], name="writer")
    body = {"name": "orders", "target": TARGET}
    assert writer.post("/registry/integrations", body, format="json").status_code == 201
    _save("direct", CALL)
    _save("mapped", {"id": "b", "integration": "orders", "next": None})
    return shop


def _states(caller: Any) -> dict[str, bool]:
    paths = {
        "orders": "/registry/integrations/orders/grants",
        "direct": "/workflows/direct/versions/1/grants",
        "mapped": "/workflows/mapped/versions/1/grants",
    }
    return {name: caller.get(path).json()["complete"] for name, path in paths.items()}


def test_who_links_a_credential_is_asked_which_of_its_users_may_use_it(operator: Client) -> None:
    shop, token = _used_connection(), make_credential(name="token")
    form = {**FORM, "credential": str(token.pk)}
    asked = operator.post(_page(shop), form)
    shown = asked.content.decode()
    assert asked.status_code == 200
    assert "Say above which may use this credential" in shown
    for title in ("integration orders", "workflow direct version 1 (a)",
                  "workflow mapped version 1 (b)"):  # fmt: skip
        assert f"Allow the {title}" in shown
    # Until it is answered, nothing is linked, and nothing says that it was.
    assert not Connection.objects.filter(credential__isnull=False).exists()
    assert not CredentialEvent.objects.filter(kind="LINKED").exists()
    keys = {each.title.split()[1]: each.key for each in asked.context["asked"]}
    answer = {
        "asked_mark": asked.context["asked_mark"],
        "may_use": [keys["direct"], keys["orders"]],
    }
    saved = operator.post(_page(shop), {**form, **answer}, follow=True)
    assert "workflow mapped version 1 (b) may not use the credential yet" in saved.content.decode()
    viewer = factories.caller("VIEWER")
    assert _states(viewer) == {"orders": True, "direct": True, "mapped": False}
    granted = AuditEntry.objects.filter(verb="GRANTED", actor="operator").values_list("object_name")
    assert {name for (name,) in granted} == {"orders", "direct"}
    assert {grant.granted_by for grant in CredentialGrant.objects.all()} == {"operator"}


def test_what_calls_it_meanwhile_is_asked_of_too(operator: Client) -> None:
    shop, token = _used_connection(), make_credential(name="token")
    form = {**FORM, "credential": str(token.pk)}
    asked = operator.post(_page(shop), form)
    _save("later", CALL)
    answer = {"asked_mark": asked.context["asked_mark"], "may_use": []}
    again = operator.post(_page(shop), {**form, **answer})
    assert "Allow the workflow later version 1 (a)" in again.content.decode()
    answer = {"asked_mark": again.context["asked_mark"], "may_use": []}
    assert operator.post(_page(shop), {**form, **answer}).status_code == 302
    assert not CredentialGrant.objects.exists()


def test_a_new_connection_asks_of_what_named_it_before(operator: Client) -> None:
    make_connection(name="shop")
    _save("early", CALL)
    Connection.objects.all().delete()
    token = make_credential(name="token")
    form = {**FORM, "type": "HTTP", "credential": str(token.pk)}
    add = reverse("admin:registry_connection_add")
    asked = operator.post(add, form)
    assert "The workflow early version 1 (a) calls it already" in asked.content.decode()
    assert not Connection.objects.exists()
    answer = {
        "asked_mark": asked.context["asked_mark"],
        "may_use": [each.key for each in asked.context["asked"]],
    }
    assert operator.post(add, {**form, **answer}).status_code == 302
    assert CredentialGrant.objects.get().granted_by == "operator"


def test_a_service_asks_too_and_one_that_nothing_calls_does_not(operator: Client) -> None:
    token = make_credential(name="token")
    for name in ("billing", "idle"):
        factories.make_service(name, urls=("http://127.0.0.1:9",), actions=("pay",))
    _save("paying", {"id": "p", "service": "billing", "action": "pay", "next": None})
    form = {"type": "CUSTOM", "criticality": "NON_CRITICAL", "credential": str(token.pk)}
    idle, billing = Service.objects.get(name="idle"), Service.objects.get(name="billing")
    assert operator.post(_page(idle), {**form, "name": "idle"}).status_code == 302
    asked = operator.post(_page(billing), {**form, "name": "billing"})
    assert "Allow the workflow paying version 1 (p)" in asked.content.decode()
    assert not Service.objects.filter(name="billing", credential__isnull=False).exists()
    answer = {
        "asked_mark": asked.context["asked_mark"],
        "may_use": [each.key for each in asked.context["asked"]],
    }
    assert operator.post(_page(billing), {**form, "name": "billing", **answer}).status_code == 302
    assert CredentialGrant.objects.get().step == "p"


def _linked() -> dict[str, tuple[Any, WorkflowVersion]]:
    """A row of each kind with a credential, and a version that calls it without a grant."""
    _used_connection()
    factories.make_service("billing", urls=("http://127.0.0.1:9",), actions=("pay",))
    paying = _save("paying", {"id": "p", "service": "billing", "action": "pay", "next": None})
    make_credential(name="token", allowed_origins=["http://127.0.0.1:9"])
    linker = factories.caller("OPERATOR", name="linker")
    for path in ("connections/shop", "services/billing"):
        linked = linker.patch(f"/registry/{path}", {"credential": "token"}, format="json")
        assert linked.status_code == 200, linked.content
    return {
        "connection": (
            Connection.objects.get(), WorkflowVersion.objects.get(workflow__name="direct")),
        "integration": (
            Integration.objects.get(), WorkflowVersion.objects.get(workflow__name="mapped")),
        "service": (Service.objects.get(), paying),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["connection", "integration", "service"])
def test_its_page_allows_and_withdraws_each_version(operator: Client, kind: str) -> None:
    row, version = _linked()[kind]
    url = reverse(f"admin:{kind}_use", args=(row.pk,))
    ask = {"key": f"workflowversion-{version.pk}", "decision": "allow"}
    viewer = in_groups("viewer")
    assert viewer.post(url, ask).status_code == 403
    shown = viewer.get(_page(row)).content.decode()
    title = f"workflow {version.workflow.name} version 1"
    assert title.capitalize() in shown and f"Allow the {title}" not in shown
    assert f"Allow the {title}" in operator.get(_page(row)).content.decode()
    assert operator.get(url).status_code == 405
    shown = operator.post(url, ask, follow=True).content.decode()
    assert "may use its credential." in shown and f"Withdraw from the {title}" in shown
    grant = CredentialGrant.objects.get(version=version)
    assert (grant.granted_by, grant.withdrawn_at) == ("operator", None)
    back = {**ask, "decision": "withdraw", "reason": "No more."}
    shown = operator.post(url, back, follow=True).content.decode()
    assert "withdrawn from the" in shown and f"Allow the {title}" in shown
    grant.refresh_from_db()
    assert (grant.withdrawn_by, grant.reason) == ("operator", "No more.")
    verbs = AuditEntry.objects.filter(actor="operator", object_name=version.workflow.name)
    assert sorted(verbs.values_list("verb", flat=True)) == ["GRANTED", "WITHDRAWN"]


def test_its_page_allows_integrations_and_refuses_what_is_no_use_of_it(operator: Client) -> None:
    shop, _ = _linked()["connection"]
    orders = Integration.objects.get()
    url = reverse("admin:connection_use", args=(shop.pk,))
    shown = operator.post(url, {"key": f"integration-{orders.pk}", "decision": "allow"},
                          follow=True).content.decode()  # fmt: skip
    assert "the integration orders may use its credential" in shown
    assert _states(factories.caller("VIEWER"))["orders"]
    back = {"key": f"integration-{orders.pk}", "decision": "withdraw"}
    assert "was not allowed it" in operator.post(url, back, follow=True).content.decode()
    for wrong, words in (
        ({"key": "workflowversion-x", "decision": "allow"}, "not use its credential any more"),
        ({"key": "x", "decision": "keep"}, "Say of what uses the credential"),
        ({}, "Say of what uses the credential"),
    ):
        assert words in operator.post(url, wrong, follow=True).content.decode()


def test_withdrawing_one_use_leaves_the_others_of_a_version(operator: Client) -> None:
    shop, _ = _linked()["connection"]
    steps = [{**CALL, "next": "p"}, {"id": "p", "service": "billing", "action": "pay"}]
    by = factories.caller("OPERATOR", name="maker")
    assert by.post("/workflows", {"name": "both", "steps": steps}, format="json").status_code == 201
    both = WorkflowVersion.objects.get(workflow__name="both")
    url = reverse("admin:connection_use", args=(shop.pk,))
    ask = {"key": f"workflowversion-{both.pk}", "decision": "withdraw", "reason": "x"}
    operator.post(url, ask)
    valid = CredentialGrant.objects.valid().filter(version=both)
    assert [grant.step for grant in valid] == ["p"]


def test_one_more_workflow_that_uses_it_costs_its_page_no_query(
    operator: Client,
) -> None:
    shop, _ = _linked()["connection"]
    by = factories.caller("OPERATOR", name="maker")
    numbers = []
    for many in (1, 5):
        for n in range(many):
            body = {"name": f"w-{many}-{n}", "steps": [CALL]}
            assert by.post("/workflows", body, format="json").status_code == 201
        operator.get(_page(shop))  # what is cached is so from then on
        with CaptureQueriesContext(connection) as queries:
            operator.get(_page(shop))
        numbers.append(len(queries))
    assert numbers[0] == numbers[1]
