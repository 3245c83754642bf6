"""The registry in the admin: lists, pages, actions and keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.admin.formatting import age_in_words, json_text, status_badge, tone_of
from core.admin.forms import StrictJSONField, WordsField
from core.durations import in_words
from core.models import ApiKey, AuditEntry
from core.models.api_key import digest_of
from registry.models import RegistryChange, Service, ServiceAction, ServiceInstance
from tests.support.admin_pages import count_queries, list_url, page_url

pytestmark = pytest.mark.django_db

MODELS = (Service, ServiceInstance, ServiceAction, RegistryChange, ApiKey)


def make_service(name: str = "billing", **fields: Any) -> Service:
    service = Service.objects.create(name=name, **{"status": "ONLINE", **fields})
    beat = timezone.now() - timedelta(seconds=12)
    ServiceInstance.objects.create(
        service=service, url=f"http://{name}:8000", last_heartbeat_at=beat
    )
    ServiceAction.objects.create(
        service=service, name="charge", path="/charge", input_schema={"required": ["amount"]}
    )
    return service


def fill(count: int, *, start: int = 0) -> None:
    for index in range(start, start + count):
        service = make_service(f"service-{index:03d}")
        RegistryChange.objects.create(
            service_id=service.pk, service_name=service.name, kind="REGISTERED", status="ONLINE"
        )
        key = ApiKey(name=f"key-{index:03d}")
        key.issue_secret()
        key.save()


@pytest.mark.parametrize("model", MODELS)
def test_lists_cost_the_same_at_two_and_at_thirty_rows(admin: Client, model: type) -> None:
    fill(2)
    few = count_queries(admin, list_url(model))
    fill(28, start=2)
    assert count_queries(admin, list_url(model)) == few


@pytest.mark.parametrize("model", MODELS)
def test_lists_can_be_searched_and_pages_opened(admin: Client, model: Any) -> None:
    fill(2)
    assert admin.get(list_url(model), {"q": "service"}).status_code == 200
    assert admin.get(page_url(model.objects.first())).status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_an_address_that_names_nothing_is_no_error(admin: Client, model: Any) -> None:
    for text in ("nonsense", "01a1fc26-7575-709d-99bb-b55376a95c0a"):
        url = reverse(
            f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=(text,)
        )
        assert admin.get(url).status_code == 302
    odd = {"q": "x" * 32, "status__exact": "nonsense"}
    assert admin.get(list_url(model), odd).status_code in (200, 302)


@pytest.mark.parametrize("name", ["registry_service_start_maintenance", "core_apikey_revoke"])
def test_an_action_on_nothing_is_not_found(admin: Client, name: str) -> None:
    url = reverse(f"admin:{name}", args=("nonsense",))
    assert admin.post(url, {"_form_submitted": "True"}).status_code == 404


@pytest.mark.parametrize("model", (Service, ServiceInstance, ServiceAction, ApiKey))
def test_pages_for_adding_open(admin: Client, model: type) -> None:
    assert admin.get(list_url(model) + "add/").status_code == 200


def test_service_page_costs_the_same_with_many_instances(admin: Client) -> None:
    service = make_service()
    few = count_queries(admin, page_url(service))
    for port in range(30):
        ServiceInstance.objects.create(service=service, url=f"http://billing:{9000 + port}")
    assert count_queries(admin, page_url(service)) == few


def test_service_page_shows_instances_heartbeats_and_schemas(admin: Client) -> None:
    page = admin.get(page_url(make_service())).content.decode()
    assert "http://billing:8000" in page
    assert "s ago" in page
    assert "POST /charge" in page
    assert "&quot;amount&quot;" in page


def test_saving_a_service_leaves_its_status_to_heartbeats(admin: Client) -> None:
    service = make_service()
    data = {"name": "billing", "type": "custom", "criticality": "CRITICAL", "tags": "a, b, a"}
    answer = admin.post(page_url(service), {**data, "metadata": '{"team": "core"}'})
    assert answer.status_code == 302
    service.refresh_from_db()
    assert (service.status, service.tags, service.type) == ("ONLINE", ["a", "b"], "CUSTOM")
    assert RegistryChange.objects.filter(service_id=service.pk, kind="UPDATED").exists()


def test_wrong_metadata_is_refused_with_its_place(admin: Client) -> None:
    service = make_service()
    data = {"name": "billing", "type": "CUSTOM", "criticality": "CRITICAL", "metadata": '{"a": }'}
    page = admin.post(page_url(service), data).content.decode()
    assert "Not JSON" in page
    assert "column 7" in page


def test_maintenance_is_set_only_by_post(admin: Client) -> None:
    service = make_service()
    url = reverse("admin:registry_service_start_maintenance", args=(service.pk,))
    assert admin.get(url).status_code == 200
    service.refresh_from_db()
    assert service.status == "ONLINE"
    answer = admin.post(url, {"_form_submitted": "True"})
    assert answer.headers["HX-Redirect"] == page_url(service)
    service.refresh_from_db()
    assert service.status == "MAINTENANCE"


@pytest.mark.parametrize("of", ["service", "instance"])
def test_maintenance_in_the_admin_has_a_reason_and_an_end(admin: Client, of: str) -> None:
    service = make_service()
    row = service if of == "service" else service.instances.get()
    page = f"admin:registry_{row._meta.model_name}"
    start = reverse(f"{page}_start_maintenance", args=(row.pk,))
    admin.post(start, {"_form_submitted": "True", "reason": "New disks.", "minutes": "90"})
    row.refresh_from_db()
    assert (row.status, row.maintenance_by, row.maintenance_reason) == (
        "MAINTENANCE", "root", "New disks.",
    )  # fmt: skip
    assert row.maintenance_until and row.maintenance_until > timezone.now() + timedelta(minutes=80)
    shown = admin.get(reverse(f"{page}_change", args=(row.pk,))).content.decode()
    assert "New disks." in shown and "Lift maintenance" in shown
    lift = reverse(f"{page}_lift_maintenance", args=(row.pk,))
    admin.post(lift, {"_form_submitted": "True"})
    row.refresh_from_db()
    assert (row.status == "MAINTENANCE", row.maintenance_since) == (False, None)
    assert AuditEntry.objects.filter(verb="MAINTENANCE_ENDED", actor="root").exists()


def test_maintenance_needs_permission_to_change(person: Callable[..., Client]) -> None:
    service = make_service()
    client = person("view_service")
    assert client.get(page_url(service)).status_code == 200
    url = reverse("admin:registry_service_start_maintenance", args=(service.pk,))
    assert client.post(url, {"_form_submitted": "True"}).status_code == 403


def test_posting_without_a_token_is_refused() -> None:
    service = make_service()
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    url = reverse("admin:registry_service_start_maintenance", args=(service.pk,))
    assert client.post(url, {"_form_submitted": "True"}).status_code == 403


def test_selected_services_are_set_to_maintenance_and_lifted(admin: Client) -> None:
    rows = [make_service("one"), make_service("two")]
    chosen = {"_selected_action": [row.pk for row in rows]}
    url = list_url(Service)
    page = admin.post(url, {"action": "start_maintenance_of_selected", **chosen}, follow=True)
    assert "2 set to maintenance." in page.content.decode()
    admin.post(url, {"action": "lift_maintenance_of_selected", **chosen})
    assert set(Service.objects.values_list("status", flat=True)) == {"ONLINE"}


def test_page_of_one_names_it_when_something_was_done_to_it(admin: Client) -> None:
    service = make_service("billing")
    url = reverse("admin:registry_service_start_maintenance", args=(service.pk,))
    admin.post(url, {"_form_submitted": "True"})
    page = admin.get(reverse("admin:registry_service_change", args=(service.pk,)))
    assert "billing: set to maintenance." in page.content.decode()


def test_deleting_a_service_is_told_to_watchers(admin: Client) -> None:
    service = make_service()
    url = reverse("admin:registry_service_delete", args=(service.pk,))
    assert admin.post(url, {"post": "yes"}).status_code == 302
    assert RegistryChange.objects.filter(kind="UNREGISTERED", service_name="billing").exists()


def test_adding_an_instance_registers_it(admin: Client) -> None:
    service = make_service()
    data = {"service": service.pk, "url": "http://billing:8001", "weight": 5, "ttl_seconds": 30}
    answer = admin.post(list_url(ServiceInstance) + "add/", {**data, "metadata": ""})
    assert answer.status_code == 302
    assert service.instances.get(url="http://billing:8001").weight == 5


def test_editing_an_instance_does_not_count_as_a_heartbeat(admin: Client) -> None:
    instance = make_service().instances.get()
    ServiceInstance.objects.update(status="OFFLINE")
    answer = admin.post(page_url(instance), {"weight": 7, "ttl_seconds": 60, "metadata": "{}"})
    assert answer.status_code == 302
    before = instance.last_heartbeat_at
    instance.refresh_from_db()
    assert (instance.weight, instance.status) == (7, "OFFLINE")
    assert instance.last_heartbeat_at == before


def test_changes_are_read_only(admin: Client) -> None:
    fill(1)
    assert admin.get(list_url(RegistryChange) + "add/").status_code == 403
    assert admin.post(page_url(RegistryChange.objects.get()), {"kind": "X"}).status_code == 403


# --- API keys ---


def test_a_new_key_is_shown_once_and_its_digest_never(admin: Client) -> None:
    page = admin.post(list_url(ApiKey) + "add/", {"name": "robot", "role": "SERVICE"})
    key = ApiKey.objects.get()
    secret = page.context["key"]
    assert secret in page.content.decode()
    assert digest_of(secret.split("_", 2)[2]) == key.digest
    for url in (page_url(key), list_url(ApiKey)):
        later = admin.get(url).content.decode()
        assert secret not in later
        assert key.digest not in later
    assert "messages" not in admin.cookies


def test_scopes_and_networks_of_a_key_are_checked(admin: Client) -> None:
    data = {"name": "robot", "role": "SERVICE", "scopes": ["registry:read"], "networks": "nowhere"}
    page = admin.post(list_url(ApiKey) + "add/", data)
    assert "is not a network" in page.content.decode()
    admin.post(list_url(ApiKey) + "add/", {**data, "networks": "10.0.0.0/8, 192.168.0.0/16"})
    key = ApiKey.objects.get()
    assert key.scopes == ["registry:read"]
    assert key.networks == ["10.0.0.0/8", "192.168.0.0/16"]


def test_revoking_takes_effect_once(admin: Client) -> None:
    fill(1)
    key = ApiKey.objects.get()
    url = reverse("admin:core_apikey_revoke", args=(key.pk,))
    admin.get(url)
    assert ApiKey.objects.get().revoked_at is None
    admin.post(url, {"_form_submitted": "True"})
    assert ApiKey.objects.get().revoked_at is not None
    chosen = {"action": "revoke_selected", "_selected_action": [key.pk]}
    page = admin.post(list_url(ApiKey), chosen, follow=True).content.decode()
    assert "1 refused. It is revoked already." in page


def test_keys_are_hidden_from_those_who_may_not_see_them(person: Callable[..., Client]) -> None:
    assert person("view_service").get(list_url(ApiKey)).status_code == 403


# --- How values look ---


@pytest.mark.parametrize(
    ("status", "tone"),
    [("ONLINE", "good"), ("NEEDS_REVIEW", "warning"), ("FAILED", "bad"), ("RUNNING", "info")],
)
def test_each_status_has_a_tone_and_a_word(status: str, tone: str) -> None:
    assert tone_of(status) == tone
    word = status.replace("_", " ").capitalize()
    assert status_badge(status) == f'<span class="hub-status" data-tone="{tone}">{word}</span>'


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.34, "340 ms"), (2.44, "2.4 s"), (42, "42 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")],
)
def test_durations_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_ages_have_one_unit() -> None:
    now = timezone.now()
    assert age_in_words(now - timedelta(seconds=12), now=now) == "12 s ago"
    assert age_in_words(now + timedelta(minutes=3), now=now) == "in 3 min"
    assert age_in_words(now, now=now) == "now"


def test_long_json_is_cut() -> None:
    assert json_text(["x" * 200_000]).endswith("more characters")


def test_markup_in_json_is_escaped(admin: Client) -> None:
    service = make_service(description="<script>alert(1)</script>")
    ServiceAction.objects.update(input_schema={"title": "<img src=x>"})
    page = admin.get(page_url(service)).content.decode()
    assert "<script>alert" not in page
    assert "<img src=x>" not in page


def test_words_are_split_and_kept_once() -> None:
    assert WordsField(required=False).clean("a, b,, a\nc") == ["a", "b", "c"]


def test_empty_json_means_the_empty_value() -> None:
    assert StrictJSONField(required=False).clean("") == {}
    assert StrictJSONField(required=False).prepare_value(None) == "{}"
