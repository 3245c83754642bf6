"""What the console says when something is not there, not allowed, broken or empty."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin import site
from django.contrib.admin.utils import label_for_field
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.urls import reverse

from core.admin.labels import ACRONYMS, label_of, with_acronyms
from integration_site.console.error_pages import server_error
from integration_site.console.navigation import NAMES
from integration_site.templatetags.console import page_heading

pytestmark = pytest.mark.django_db
MISSING = "00000000-0000-0000-0000-000000000000"


def assert_console_page(answer: Any, status: int) -> str:
    text = answer.content.decode()
    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/html")
    assert reverse("admin:registry_service_changelist") in text  # the menu
    return text


@pytest.mark.parametrize(
    "url", ["/admin/nope/", "/admin/nope", f"/admin/registry/integration/{MISSING}/try/"]
)
def test_a_page_that_is_not_there_is_a_page_of_the_console(admin: Client, url: str) -> None:
    assert "There is nothing here" in assert_console_page(admin.get(url), 404)


def test_a_page_that_is_not_allowed_is_a_page_of_the_console(client: Client) -> None:
    client.force_login(User.objects.create_user("person", is_staff=True))
    answer = client.get("/admin/registry/service/")
    assert answer.status_code == 403
    assert "You may not do this" in answer.content.decode()
    assert "by the roles of your account" in answer.content.decode()
    assert 'aria-label="Show or hide the menu"' in answer.content.decode()


def test_an_old_form_is_refused_in_words() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    answer = client.post("/admin/registry/service/add/", {"name": "x"})
    assert answer.status_code == 403
    assert "older than your session" in answer.content.decode()


def test_what_breaks_is_told_with_the_request_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("integration_site.console.site.UnfoldAdminSite.each_context", fail)
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("root"))
    answer = client.get("/admin/", headers={"X-Request-ID": "request-1"})
    assert answer.status_code == 500
    text = answer.content.decode()
    assert "request-1" in text
    assert all(
        link in text for link in ("console/console", "unfold/css/styles", reverse("admin:index"))
    )


def test_the_page_of_what_breaks_asks_nothing(django_assert_num_queries: Any) -> None:
    request = RequestFactory().get("/admin/")  # without a person
    with django_assert_num_queries(0):
        assert server_error(request).status_code == 500


def test_a_list_is_called_what_the_menu_calls_it(admin: Client) -> None:
    for label, name in NAMES.items():
        page: Any = admin.get(reverse(f"admin:{label.replace('.', '_')}_changelist"))
        assert page_heading(page.context).heading == name


@pytest.mark.parametrize("url", ["/nope", "/api/nope", "/registry/nope"])
def test_outside_of_the_console_it_is_a_problem_document(admin: Client, url: str) -> None:
    answer = admin.get(url)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


def test_login_and_menu_lead_to_no_other_site(client: Client) -> None:
    login = client.get("/admin/login/").content.decode()
    assert "Return to site" not in login
    client.force_login(User.objects.create_superuser("root"))
    assert "View site" not in client.get("/admin/").content.decode()


def every_model() -> list[Any]:
    reverse("admin:index")
    return sorted(site._registry, key=lambda model: model._meta.label)


def test_empty_lists_offer_only_what_is_possible(admin: Client) -> None:
    for model in every_model():
        if model is User:  # never empty: somebody looks at it
            continue
        model._default_manager.all().delete()
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        text = admin.get(url).content.decode()
        may_add = site._registry[model].has_add_permission(request_of_root())
        assert ("Add " + str(model._meta.verbose_name) in text) is may_add, url
        assert "reset your filters" not in text, url
        assert f"No {model._meta.verbose_name_plural} yet" in text, url
        assert "Show all" not in text, url


def test_a_search_that_finds_nothing_leads_back_to_all(admin: Client) -> None:
    text = admin.get("/admin/registry/service/?q=nothing-has-this").content.decode()
    assert "No service matches" in text
    assert "Show all services" in text


def request_of_root() -> Any:
    request = RequestFactory().get("/admin/")
    request.user = User.objects.get(username="root")
    return request


# --- Labels ---


def labels_of(model: Any, request: Any) -> list[str]:
    of_model = site._registry[model]
    names = {*of_model.get_list_display(request), *of_model.get_readonly_fields(request)}
    labels = [str(label_for_field(name, model, model_admin=of_model)) for name in names]
    if of_model.has_add_permission(request) or of_model.has_change_permission(request):
        labels += [str(field.label) for field in of_model.get_form(request).base_fields.values()]
    return [*labels, *(str(field.verbose_name) for field in model._meta.fields)]


def test_acronyms_are_written_as_such_in_every_label(admin: Client) -> None:
    request = request_of_root()
    labels = {label for model in every_model() for label in labels_of(model, request)}
    assert {label for label in labels if label != with_acronyms(label)} == set()
    assert "Health URL" in labels


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("health_url", "Health URL"),
        ("id", "ID"),
        ("api_key_ids", "API key IDs"),
        ("ttl_seconds", "TTL seconds"),
        ("oauth_token", "OAuth token"),
        ("idempotent", "Idempotent"),
        ("curl", "Curl"),
    ],
)
def test_labels_are_made_of_names(name: str, label: str) -> None:
    assert label_of(name) == label
    assert with_acronyms(label) == label


def test_acronyms_are_given_by_their_small_letters() -> None:
    assert all(name == word.lower() for name, word in ACRONYMS.items())
