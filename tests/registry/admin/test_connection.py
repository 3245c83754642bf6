"""Connections in the admin: made and changed by type, tested, switched off, and never a secret."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from registry.connections.lifecycle import disable_connection
from registry.models import CircuitBreakerState, Connection, ConnectionType, CredentialEvent
from tests import factories
from tests.support.connections import WebServer, make_connection
from tests.support.credentials import make_credential, serving
from tests.support.people import in_groups

pytestmark = [pytest.mark.once, pytest.mark.django_db, pytest.mark.usefixtures("shared_client")]
ADD = reverse("admin:registry_connection_add")
LIST = reverse("admin:registry_connection_changelist")
COMMON = {
    "name": "orders", "criticality": "NON_CRITICAL", "check_interval_seconds": "60",
    "description": "", "limits": "{}", "breaker": "{}", "credential": "",
}  # fmt: skip
TYPED: dict[str, dict[str, str]] = {
    "HTTP": {"base_url": "http://127.0.0.1:9", "config__expected_status": "200, 204"},
    "GRAPHQL": {"base_url": "http://127.0.0.1:9", "config__test_query": "{ a }"},
    "WEBHOOK": {"base_url": "http://127.0.0.1:9", "config__headers": '{"X-A": "b"}'},
    "DATABASE": {
        "host": "127.0.0.1",
        "driver": "MYSQL",
        "username": "robot",
        "config__tls": "on",
    },
    "MESSAGE_BROKER": {"host": "127.0.0.1", "config__queue": "orders"},
    "CACHE": {"host": "127.0.0.1", "port": "6380", "config__timeout_seconds": "2.5"},
}
KEPT: dict[str, dict[str, Any]] = {
    "HTTP": {"expected_status": [200, 204]},
    "GRAPHQL": {"test_query": "{ a }"},
    "WEBHOOK": {"headers": {"X-A": "b"}},
    "DATABASE": {"tls": True},
    "MESSAGE_BROKER": {"queue": "orders"},
    "CACHE": {"timeout_seconds": 2.5},
}


@pytest.fixture
def operator() -> Client:
    return in_groups("operator")


def page(row: Connection) -> str:
    return reverse("admin:registry_connection_change", args=(row.pk,))


@pytest.mark.parametrize("type", ConnectionType.values)
def test_every_type_is_made_and_changed(operator: Client, type: str) -> None:
    answer = operator.post(ADD, {**COMMON, "type": type, **TYPED[type]})
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    row = Connection.objects.get()
    assert (row.type, row.config) == (type, KEPT[type])
    shown = operator.get(page(row)).content.decode()
    assert 'name="base_url"' in shown or 'name="host"' in shown
    assert ('name="base_url"' in shown) is (type in ("HTTP", "GRAPHQL", "WEBHOOK"))
    assert ("config__queue" in shown) is (type == "MESSAGE_BROKER")
    typed = {**TYPED[type], "limits": '{"per_second": 3}', "description": "New"}
    typed.setdefault("port", str(row.port or ""))
    answer = operator.post(page(row), {**COMMON, **typed})
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    row.refresh_from_db()
    assert (row.config, row.limits, row.description) == (KEPT[type], {"per_second": 3}, "New")


@pytest.mark.parametrize(
    ("type", "typed", "field"),
    [
        ("HTTP", {"base_url": ""}, "base_url"),
        ("HTTP", {"base_url": "ftp://a"}, "base_url"),
        ("HTTP", {"config__timeout_seconds": "soon"}, "config__timeout_seconds"),
        ("HTTP", {"config__headers": "{"}, "config__headers"),
        ("DATABASE", {"host": "a b"}, "host"),
        ("DATABASE", {"driver": "REDIS"}, "driver"),
        ("DATABASE", {"limits": '{"x": 1}'}, "limits"),
    ],
)
def test_what_is_wrong_stands_at_its_field(
    operator: Client, type: str, typed: dict[str, str], field: str
) -> None:
    answer = operator.post(ADD, {**COMMON, "type": type, **TYPED[type], **typed})
    assert answer.status_code == 200
    assert list(answer.context["adminform"].form.errors) == [field]
    assert not Connection.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_it_is_tested_by_a_button_and_the_page_shows_how_it_went(operator: Client) -> None:
    web = WebServer()
    with serving(web.answer) as base:
        row = make_connection(name="orders", base_url=base)
        assert "It has not been tested yet" in operator.get(page(row)).content.decode()
        url = reverse("admin:connection_test", args=(row.pk,))
        assert operator.get(url).status_code == 405
        shown = operator.post(url, follow=True).content.decode()
    assert "orders answered." in shown
    assert f"GET {base}" in shown
    Connection.objects.update(base_url="http://127.0.0.1:9")
    shown = operator.post(url, follow=True).content.decode()
    assert "did not answer as it should" in shown
    assert "Nothing listens there" in shown


def test_it_is_switched_off_with_a_reason_and_on(operator: Client) -> None:
    row = make_connection(name="orders")
    shown = operator.get(page(row)).content.decode()
    assert "Switch off" in shown
    assert "Switch on" not in shown
    off = reverse("admin:registry_connection_disable", args=(row.pk,))
    assert operator.get(off).status_code == 200
    operator.post(off, {"_form_submitted": "True", "reason": ""})
    row.refresh_from_db()
    assert not row.is_disabled
    answer = operator.post(off, {"_form_submitted": "True", "reason": "Too dear."})
    assert answer.headers["HX-Redirect"] == page(row)
    row.refresh_from_db()
    assert (row.disabled_by, row.disabled_reason) == ("operator", "Too dear.")
    shown = operator.get(page(row)).content.decode()
    assert "Too dear." in shown
    assert "Test now" not in shown
    operator.post(
        reverse("admin:registry_connection_enable", args=(row.pk,)), {"_form_submitted": "True"}
    )
    row.refresh_from_db()
    assert row.status == "PENDING"


def test_the_circuit_of_a_connection_has_a_page_and_stands_on_its_own(operator: Client) -> None:
    row = make_connection(name="orders")
    factories.make_service()  # without any the start page says how to begin
    circuit = CircuitBreakerState.objects.create(connection=row, state="OPEN", cause="It failed.")
    for url in (
        page(row),
        reverse("admin:registry_circuitbreakerstate_changelist"),
        reverse("admin:registry_circuitbreakerstate_change", args=(circuit.pk,)),
        reverse("admin:index"),
    ):
        shown = operator.get(url).content.decode()
        assert "orders" in shown, url
        assert "It failed." in shown


def test_viewers_look_and_change_nothing() -> None:
    viewer = in_groups("viewer")
    credential = make_credential("BASIC_AUTH")
    row = make_connection("CACHE", name="orders", credential=credential.name)
    shown = viewer.get(page(row)).content.decode()
    assert "redis://127.0.0.1:6379" in shown
    assert "Test now" not in shown
    assert 'name="host"' not in shown
    assert viewer.get(ADD).status_code == 403
    assert viewer.post(reverse("admin:connection_test", args=(row.pk,))).status_code == 403
    denied = viewer.post(reverse("admin:registry_connection_disable", args=(row.pk,)), {})
    assert denied.status_code in (302, 403)
    row.refresh_from_db()
    assert not row.is_disabled


def test_a_credential_is_linked_by_who_may_use_it(operator: Client) -> None:
    credential = make_credential("BEARER_TOKEN", name="token")
    typed = {**COMMON, "type": "HTTP", "base_url": "http://127.0.0.1:9"}
    assert operator.post(ADD, {**typed, "credential": str(credential.pk)}).status_code == 302
    row = Connection.objects.get()
    assert row.credential == credential
    shown = operator.get(page(row)).content.decode()
    assert "bearer-0123456789" not in shown
    assert CredentialEvent.objects.of(credential).filter(kind="LINKED").exists()
    assert operator.post(page(row), {**COMMON, "base_url": "http://127.0.0.1:9"}).status_code == 302
    assert not Connection.objects.filter(credential__isnull=False).exists()
    trail = reverse("admin:registry_credential_change", args=(credential.pk,))
    assert "Nobody." in in_groups("secret-admin").get(trail).content.decode()


def test_the_list_is_filtered_and_costs_the_same_for_many(
    operator: Client, django_assert_num_queries: Any
) -> None:
    disable_connection(make_connection(name="one"), reason="No more.", actor="tester")
    make_connection("CACHE", name="two")
    operator.get(LIST)
    shown = operator.get(LIST).content.decode()
    assert "No more." in shown
    assert "redis://127.0.0.1:6379" in shown
    shown = operator.get(f"{LIST}?status__exact=DISABLED").content.decode()
    assert "redis://127.0.0.1:6379" not in shown
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(
        connection,
    ) as few:
        operator.get(LIST)
    for _ in range(5):
        make_connection()
    with django_assert_num_queries(len(few)):
        operator.get(LIST)
