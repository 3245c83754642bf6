"""The page of a service: made with its first instance, asked now, called by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from html import escape
from typing import Any

import pytest
from aiohttp import web
from django.contrib.admin import site
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.models import AuditEntry
from registry.admin.service import ServiceAdmin
from registry.models import Service, ServiceAction, ServiceInstance
from tests.factories import make_service
from tests.support.integrations import serving
from tests.support.people import in_groups

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("shared_client"),
    pytest.mark.once,
]
ADD = "admin:registry_service_add"


@pytest.fixture
def operator() -> Client:
    return in_groups("operator")


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """A service that counts letters and says that it is well."""

    async def count(request: web.Request) -> web.Response:
        return web.json_response({"letters": len((await request.json())["text"])})

    async def health(request: web.Request) -> web.Response:
        return web.json_response({"status": "well"})

    def build() -> web.Application:
        app = web.Application()
        app.add_routes([web.post("/count", count), web.get("/health", health)])
        return app

    with serving(build) as url:
        yield url


def new(operator: Client, **fields: str) -> Any:
    form = {"name": "counter", "type": "CUSTOM", "criticality": "NON_CRITICAL", **fields}
    return operator.post(reverse(ADD), form, follow=True)


def counting(url: str) -> Service:
    service = make_service(urls=(url,))  # of its own name: how a name is resolved is remembered
    schema = {"type": "object", "required": ["text"]}
    ServiceAction.objects.create(service=service, name="count", input_schema=schema)
    return service


def test_service_is_made_with_its_first_instance(operator: Client) -> None:
    url, health = "http://127.0.0.1:9321", "http://127.0.0.1:9321/well"
    new(operator, url=url, health_url=health)
    instance = ServiceInstance.objects.get(service__name="counter")
    assert (instance.url, instance.health_url) == (url, health)
    made = AuditEntry.objects.filter(actor="operator", verb="CREATED")
    assert {entry.object_type for entry in made} == {"service", "service_instance"}


def test_service_without_an_instance_says_what_is_next(operator: Client) -> None:
    shown = new(operator).content.decode()
    service = Service.objects.get(name="counter")
    assert "cannot be called until" in shown
    assert reverse("admin:registry_serviceinstance_add") + f"?service={service.pk}" in shown


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"url": "ftp://a.example"}, "url"),
        ({"url": "http://169.254.169.254"}, "url"),
        ({"url": "http://a.example", "health_url": "nonsense"}, "health_url"),
        ({"health_url": "http://a.example/health"}, "url"),
    ],
)
def test_bad_address_of_the_first_instance_is_refused_at_its_field(
    operator: Client, given: dict[str, str], field: str
) -> None:
    refused = new(operator, **given)
    assert field in refused.context["adminform"].form.errors
    assert not Service.objects.exists()


def test_bad_address_of_a_further_instance_is_refused_at_its_field(operator: Client) -> None:
    service = make_service("counter")
    form = {"service": str(service.pk), "url": "http://169.254.169.254", "weight": 1,
            "ttl_seconds": 90}  # fmt: skip
    refused = operator.post(reverse("admin:registry_serviceinstance_add"), form)
    assert refused.status_code == 200
    assert "url" in refused.context["adminform"].form.errors


def test_health_is_asked_now_and_the_answer_shown(operator: Client, target: str) -> None:
    service = counting(target)
    ServiceInstance.objects.create(service=service, url="http://127.0.0.1:9")
    shown = operator.get(reverse("admin:service_probe", args=(service.pk,))).content.decode()
    assert f"{target}/health" in shown
    assert "Not well" in shown
    assert ">Well<" in shown


def test_action_is_called_and_the_answer_shown(operator: Client, target: str) -> None:
    service = counting(target)
    url = reverse("admin:service_call", args=(service.pk,))
    assert 'name="action"' in operator.get(url).content.decode()
    answer = operator.post(url, {"action": "count", "input_data": '{"text": "four"}'})
    assert answer.context["result"].output == {"letters": 4}
    assert "letters" in answer.content.decode()
    (entry,) = AuditEntry.objects.filter(verb="CALLED")
    assert (entry.actor, entry.object_name, entry.changes) == (
        "operator", service.name, {"action": "count"},
    )  # fmt: skip


def test_input_that_does_not_fit_and_a_service_that_is_away_are_told(operator: Client) -> None:
    service = counting("http://127.0.0.1:9")
    url = reverse("admin:service_call", args=(service.pk,))
    for text in ("{}", '{"text": "four"}'):
        answer = operator.post(url, {"action": "count", "input_data": text})
        assert answer.status_code == 200
        assert escape(answer.context["failure"].message) in answer.content.decode()


def test_page_offers_both_to_who_may_as_over_the_api(target: str) -> None:
    service = counting(target)
    page = reverse("admin:registry_service_change", args=(service.pk,))
    expected = {"viewer": False, "auditor": False, "workflow-editor": True, "operator": True}
    for role, may_call in expected.items():
        person = in_groups(role)
        shown = person.get(page).content.decode()
        assert "Probe now" in shown, role
        assert ("Call action" in shown) is may_call, role
        called = person.post(
            reverse("admin:service_call", args=(service.pk,)),
            {"action": "count", "input_data": '{"text": "x"}'},
        )
        assert called.status_code == (200 if may_call else 403), role


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("serviceaction", {"name": "count", "method": "POST", "timeout_seconds": "5"}),
        ("serviceinstance", {"url": "http://127.0.0.1:9", "weight": "1", "ttl_seconds": "30"}),
    ],
)
def test_part_that_is_added_from_the_page_of_its_service_leads_back_there(
    operator: Client, model: str, fields: dict[str, str]
) -> None:
    service = make_service("billing")
    page = reverse("admin:registry_service_change", args=(service.pk,))
    add = reverse(f"admin:registry_{model}_add")
    from_page = operator.post(f"{add}?service={service.pk}", {"service": service.pk, **fields})
    assert (from_page.status_code, from_page.headers["Location"]) == (302, page)
    other = {"service": make_service("other").pk, **fields}
    from_list = operator.post(add, other)
    assert from_list.headers["Location"] == reverse(f"admin:registry_{model}_changelist")
    further = {"service": make_service("third").pk, **fields, "_addanother": "1"}
    again = operator.post(f"{add}?service={service.pk}", further)
    assert again.headers["Location"] == f"{add}?service={service.pk}"


def test_service_without_actions_offers_to_add_one_to_who_may() -> None:
    service = make_service("billing")
    call = reverse("admin:service_call", args=(service.pk,))
    add = reverse("admin:registry_serviceaction_add") + f"?service={service.pk}"
    back = f'href="{reverse("admin:registry_service_change", args=(service.pk,))}">Back'
    shown = in_groups("operator").get(call).content.decode()
    assert add in shown
    assert back in shown


def test_list_says_which_sign_of_life_came_last(operator: Client) -> None:
    now = timezone.now()
    make_service("newcomer", urls=("http://127.0.0.1:9",), instance={"at": now})
    answered = {"at": now - timedelta(hours=2), "last_answer_at": now}
    make_service("answering", urls=("http://127.0.0.1:9",), instance=answered)
    beaten = {"at": now, "has_beaten": True, "last_answer_at": now - timedelta(hours=2)}
    make_service("beating", urls=("http://127.0.0.1:9",), instance=beaten)
    make_service("empty")
    page = reverse("admin:registry_service_changelist")
    shown = ServiceAdmin(Service, site).sign_of_life
    for order in ("", "?o=5", "?o=-5"):
        listed = operator.get(f"{page}{order}").context["cl"].result_list
        said = {row.name: shown(row) for row in listed}
        assert {name: text.split(" <")[0] for name, text in said.items()} == {
            "newcomer": "registered",
            "answering": "answered",
            "beating": "beat",
            "empty": "–",
        }
