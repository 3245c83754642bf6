"""Operators' orders, the API and the admin of circuit breakers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from core.exceptions import NotFound, ValidationFailed
from core.mediator import mediator
from integration_site.facade import get_facade
from registry.calls.circuits import store
from registry.calls.circuits.operator_control import Control, Order, control_circuit
from registry.calls.circuits.transitions import CallOutcome, Circuit, OutcomeKind
from registry.models import CircuitBreakerState, ServiceInstance
from tests import factories
from tests.support.breakers import PROFILE, make_instance

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("keys_stay_known")]
LIST = "/health/circuit-breakers"


def open_circuit(instance: ServiceInstance | None = None) -> Any:
    instance = instance or make_instance()
    store.load([str(instance.pk)])
    outcome = CallOutcome(OutcomeKind.FAILURE, 0, count=3, reason="It answered 503.")
    store.record_outcomes(str(instance.pk), [outcome], PROFILE)
    return CircuitBreakerState.objects.get(instance=instance)


def give(control: Control, reference: Any, **more: Any) -> Any:
    order = {"control": control, "actor": "ada", "reason": "Deploying.", **more}
    return control_circuit(str(reference), Order(**order))


# --- Orders ---


def test_an_order_holds_the_circuit_with_actor_reason_and_end() -> None:
    instance = make_instance()
    held = give(Control.OPEN, instance.pk, seconds=600)
    assert (held.state, held.forced_by, held.reason) == ("FORCED_OPEN", "ada", "Deploying.")
    assert timedelta(seconds=590) < held.until - timezone.now() <= timedelta(seconds=600)
    assert held.explanation == "ada opened it: Deploying."
    other = give(Control.DISABLE, held.pk)
    assert (other.state, other.until, other.generation) == ("DISABLED", None, 2)


@pytest.mark.parametrize("control", [Control.CLOSE, Control.RESET])
def test_closing_and_resetting_let_calls_through_from_zero(control: Control) -> None:
    closed = give(control, open_circuit().pk)
    assert (closed.state, closed.failure_count, closed.open_count) == ("CLOSED", 0, 0)
    assert (closed.forced_by, closed.generation) == ("", 2)
    assert (closed.opened_at is None) == (control is Control.RESET)


def test_held_circuits_end_by_themselves_once_their_time_is_over(
    django_capture_on_commit_callbacks: Any,
) -> None:
    over = give(Control.OPEN, make_instance().pk, seconds=60)
    stays = give(Control.OPEN, make_instance("http://b:1").pk)
    assert store.end_lapsed_controls() == 0
    past = timezone.now() - timedelta(seconds=1)
    CircuitBreakerState.objects.filter(pk=over.pk).update(until=past)
    with (
        mediator.recording("circuit_changed") as changes,
        django_capture_on_commit_callbacks(execute=True),
    ):
        assert store.end_lapsed_controls() == 1
    over.refresh_from_db()
    stays.refresh_from_db()
    assert (over.state, stays.state) == ("CLOSED", "FORCED_OPEN")
    assert [(e["old_state"], e["new_state"]) for e in changes] == [("FORCED_OPEN", "CLOSED")]


def test_orders_are_published_with_who_and_why(django_capture_on_commit_callbacks: Any) -> None:
    instance = make_instance()
    with (
        mediator.recording("circuit_changed") as changes,
        django_capture_on_commit_callbacks(execute=True),
    ):
        give(Control.OPEN, instance.pk)
    (event,) = changes
    assert (event["actor"], event["reason"]) == ("ada", "Deploying.")
    assert (event["service"], event["url"]) == (instance.service.name, instance.url)
    assert event["instance_id"] == str(instance.pk)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": 1e9}, "seconds"),
        ({"seconds": float("nan")}, "seconds"),
        ({"until": timezone.now() - timedelta(minutes=1)}, "until"),
        ({"until": timezone.now() + timedelta(days=400)}, "until"),
        ({"until": timezone.now() + timedelta(days=1), "seconds": 5}, "until"),
        ({"control": Control.CLOSE, "seconds": 5}, "seconds"),
    ],
)
def test_orders_that_make_no_sense_are_refused(more: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        give(more.pop("control", Control.OPEN), make_instance().pk, **more)
    assert list(caught.value.errors) == [field]


@pytest.mark.parametrize("reference", ["nonsense", "01a1fc26-7575-709d-99bb-b55376a95c0a", "\x00"])
def test_orders_for_what_does_not_exist_are_refused(reference: str) -> None:
    with pytest.raises(NotFound):
        give(Control.OPEN, reference)


def test_a_row_is_not_saved_over() -> None:
    with pytest.raises(TypeError):
        open_circuit().save()


def test_the_circuit_goes_with_its_instance() -> None:
    circuit = open_circuit()
    circuit.instance.delete()
    assert store.load([str(circuit.instance_id)]) == []
    assert store.change(str(circuit.instance_id), lambda known, now: Circuit()) is None


# --- The API ---


def test_list_names_service_instance_state_and_times() -> None:
    make = make_instance("http://b:1")
    store.load([str(make.pk)])
    circuit = open_circuit()
    body = factories.caller("VIEWER").get(LIST).json()
    assert (body["total"], [item["state"] for item in body["items"]]) == (2, ["OPEN", "CLOSED"])
    first = body["items"][0]
    assert first["service"] == circuit.instance.service.name
    assert (first["url"], first["instance_id"]) == (
        circuit.instance.url,
        str(circuit.instance_id),
    )
    assert first["failure_count"] == 3
    assert first["retry_at"] > first["opened_at"]
    assert body["items"][1]["retry_at"] is None


@pytest.mark.parametrize(("text", "total"), [("open", 1), (" Closed,OPEN", 2), ("disabled", 0)])
def test_list_is_filtered_by_state_in_any_case(text: str, total: int) -> None:
    open_circuit()
    store.load([str(make_instance("http://b:1").pk)])
    assert factories.caller("VIEWER").get(LIST, {"state": text}).json()["total"] == total


def test_unknown_states_and_filters_are_refused() -> None:
    client = factories.caller("VIEWER")
    assert client.get(LIST, {"state": "ajar"}).status_code == 400
    assert client.get(LIST, {"status": "open"}).status_code == 400


def test_list_costs_the_same_with_few_and_with_many() -> None:
    client = factories.caller("VIEWER")

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(LIST, {"per_page": 200}).status_code == 200
        return len(queries)

    open_circuit()
    cost()
    few = cost()
    for port in range(20):
        open_circuit(make_instance(f"http://c:{port + 1}"))
    assert cost() == few


@pytest.mark.parametrize(
    ("name", "state"),
    [("open", "FORCED_OPEN"), ("close", "CLOSED"), ("disable", "DISABLED"), ("reset", "CLOSED")],
)
def test_orders_are_given_by_the_id_of_the_breaker_or_of_its_instance(
    name: str, state: str
) -> None:
    client, circuit = factories.caller(name="ada"), open_circuit()
    for reference in (circuit.pk, circuit.instance_id):
        answer = client.post(f"{LIST}/{reference}/{name}", {"reason": "Deploying."})
        assert (answer.status_code, answer.json()["state"]) == (200, state)
    held = state != "CLOSED"
    assert (answer.json()["forced_by"], answer.json()["reason"]) == (
        ("ada", "Deploying.") if held else ("", "")
    )
    assert client.get(f"/api{LIST}/{circuit.pk}/").json()["state"] == state


def test_an_order_needs_a_reason_and_known_fields() -> None:
    client, circuit = factories.caller(), open_circuit()
    for body in ({}, {"reason": ""}, {"reason": "x", "seconds": "soon"}, {"reason": "x", "why": 1}):
        answer = client.post(f"{LIST}/{circuit.pk}/open", body)
        assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
    assert client.post(f"{LIST}/nonsense/open", {"reason": "x"}).status_code == 404


def test_an_order_ends_as_it_says() -> None:
    end = (timezone.now() + timedelta(hours=1)).isoformat()
    body = {"reason": "x", "until": end}
    answer = factories.caller().post(f"{LIST}/{open_circuit().pk}/open", body).json()
    assert answer["until"] == answer["retry_at"]


def test_orders_need_the_scope_to_write() -> None:
    circuit = open_circuit()
    for role in ("VIEWER", "SERVICE"):
        client = factories.caller(role)
        assert client.get(LIST).status_code == 200
        answer = client.post(f"{LIST}/{circuit.pk}/open", {"reason": "x"})
        assert answer.status_code == 403


def test_system_health_names_each_circuit() -> None:
    circuit = open_circuit()
    place = f"{circuit.instance.service.name} at {circuit.instance.url}"
    assert get_facade().describe_system()["circuit_breaker_statuses"] == {place: "OPEN"}


def test_service_health_has_the_circuit_of_each_instance() -> None:
    circuit = open_circuit()
    service = circuit.instance.service
    factories.make_instance(service, "http://never-called:1")
    body = factories.caller("VIEWER").get(f"/registry/services/{service.name}/health").json()
    states = {item["url"]: item["circuit"]["state"] for item in body["instances"]}
    assert states == {circuit.instance.url: "OPEN", "http://never-called:1": "CLOSED"}


def test_services_set_their_own_rules_over_the_api() -> None:
    client = factories.caller()
    body = {"name": "planner", "url": "http://p:1", "breaker": {"failure_threshold": 9}}
    assert client.post("/registry/services", body).json()["breaker"] == {"failure_threshold": 9}
    refused = client.post("/registry/services", {**body, "breaker": {"failure_treshold": 9}})
    assert refused.status_code == 400
    assert "There is no setting" in refused.json()["errors"]["breaker"][0]


# --- The admin ---


def dialog(circuit: CircuitBreakerState, name: str) -> str:
    return reverse(f"admin:registry_circuitbreakerstate_{name}", args=(circuit.pk,))


def test_list_and_page_tell_what_is_open_and_why(admin: Client) -> None:
    circuit = open_circuit()
    for name, args in (("changelist", ()), ("change", (circuit.pk,))):
        url = reverse(f"admin:registry_circuitbreakerstate_{name}", args=args)
        page = admin.get(url).content.decode()
        assert circuit.instance.url in page
        assert 'data-tone="bad">Open<' in page
        assert "The last: It answered 503." in page


def test_admin_list_costs_the_same_with_few_and_with_many(admin: Client) -> None:
    url = reverse("admin:registry_circuitbreakerstate_changelist")

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert admin.get(url).status_code == 200
        return len(queries)

    open_circuit()
    cost()
    few = cost()
    for port in range(20):
        open_circuit(make_instance(f"http://c:{port + 1}"))
    assert cost() == few


@pytest.mark.parametrize(
    ("name", "more", "state"),
    [
        ("open", {"minutes": "5"}, "FORCED_OPEN"),
        ("disable", {}, "DISABLED"),
        ("close", {}, "CLOSED"),
        ("reset", {}, "CLOSED"),
    ],
)
def test_dialogs_act_on_post_with_a_reason(
    admin: Client, name: str, more: dict[str, str], state: str
) -> None:
    circuit = open_circuit()
    url = dialog(circuit, name)
    assert admin.get(url).status_code == 200
    assert "HX-Redirect" not in admin.post(url, {"_form_submitted": "True"}).headers
    circuit.refresh_from_db()
    assert circuit.state == "OPEN"
    answer = admin.post(url, {"_form_submitted": "True", "reason": "Deploying.", **more})
    assert answer.headers["HX-Redirect"].endswith(f"{circuit.pk}/change/")
    circuit.refresh_from_db()
    assert circuit.state == state
    assert (circuit.until is not None) == bool(more)


def test_who_may_only_look_has_no_buttons(client: Client) -> None:
    circuit, person = open_circuit(), User.objects.create_user("person", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename="view_circuitbreakerstate"))
    client.force_login(person)
    page = reverse("admin:registry_circuitbreakerstate_change", args=(circuit.pk,))
    assert "Force open" not in client.get(page).content.decode()
    body = {"_form_submitted": "True", "reason": "x"}
    assert client.post(dialog(circuit, "open"), body).status_code == 403
    assert client.post(dialog(circuit, "open").replace(str(circuit.pk), "x"), body).status_code in (
        403,
        404,
    )


def test_start_page_and_service_page_name_open_circuits(admin: Client) -> None:
    circuit = open_circuit()
    start = admin.get(reverse("admin:index")).content.decode()
    assert "Circuit: 3 failures in a row." in start
    assert "Nothing is down." not in start
    service = reverse("admin:registry_service_change", args=(circuit.instance.service_id,))
    assert "Circuit: 3 failures in a row." in admin.get(service).content.decode()
    give(Control.CLOSE, circuit.pk)
    assert "circuit closed" in admin.get(service).content.decode()
    assert "Nothing is down." in admin.get(reverse("admin:index")).content.decode()


def test_rules_of_a_service_are_edited_and_checked(admin: Client) -> None:
    service = factories.make_service("billing")
    url = reverse("admin:registry_service_change", args=(service.pk,))
    data = {"name": "billing", "type": "CUSTOM", "criticality": "CRITICAL"}
    page = admin.post(url, {**data, "breaker": '{"failure_rate": 2}'}).content.decode()
    assert "must be a number from 0.01 to 1" in page
    assert admin.post(url, {**data, "breaker": '{"failure_rate": 1}'}).status_code == 302
    service.refresh_from_db()
    assert service.breaker == {"failure_rate": 1}
