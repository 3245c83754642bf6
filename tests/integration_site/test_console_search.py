"""What Ctrl+K finds, for whom, and what that costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from integration_site.console.search import SECTIONS
from registry.models import Service, ServiceInstance
from tests import factories
from tests.support.console import make_hub
from workflows.models import Workflow, WorkflowExecution

pytestmark = pytest.mark.django_db
# Tables that log what happened, or stand below a row that is found: found by their lists.
NOT_FOUND = {
    "alertdelivery", "legacycall", "modelprice", "providerquota", "request", "statusspan",
    "auditentry", "bulkoperation", "circuitbreakerstate", "credentialevent", "group", "incident",
    "integrationexecution", "purgerun", "registrychange", "servicedependency", "webhookdelivery",
    "worker", "workflowevent", "workflowstep", "workflowversion",
}  # fmt: skip


@pytest.fixture
def found(client: Client) -> Callable[..., str]:
    """What a person with these permissions, or everybody's superuser, is shown."""

    def ask(text: str, *codenames: str) -> str:
        user = User.objects.create_user("person", is_staff=True, is_superuser=not codenames)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        answer = client.get(reverse("admin:search"), {"s": text})
        assert answer.status_code == 200
        user.delete()
        return answer.content.decode()

    return ask


def test_every_model_of_the_admin_is_found_or_said_not_to_be() -> None:
    reverse("admin:index")
    found = {kind.model._meta.model_name for kind in SECTIONS}
    assert found | NOT_FOUND == {model._meta.model_name for model in admin.site._registry}


@pytest.mark.parametrize(
    ("text", "kind", "title"),
    [
        ("extraction", "Service,", "text-extraction"),
        ("TEXT-EXTRACTION", "Service,", "text-extraction"),
        ("127.0.0.1:39", "Service instance,", "http://127.0.0.1:39"),
        ("document-proc", "Workflow,", "document-processing"),
        ("document-proc", "Execution,", "document-processing"),
        ("order-4711", "Execution,", "document-processing"),
        ("shop-error", "Connection,", "shop-error"),
        ("shop-to", "Integration,", "shop-to-mail"),
        ("extract", "Service action", "text-extraction · extract"),
        ("nightly", "Schedule", "nightly"),
        ("orders", "Webhook", "orders"),
        ("signing", "Credential", "signing"),
        ("asked", "User", "asked"),
        ("circuit", "Page", "Circuit breakers"),
    ],
)
def test_rows_are_found_by_name_url_and_correlation(
    found: Callable[..., str], text: str, kind: str, title: str
) -> None:
    make_hub()
    shown = " ".join(found(text).split())
    assert any(title in part and kind in part for part in shown.split("<li"))


def test_an_execution_is_found_by_its_id_its_begin_and_the_end_that_lists_show(
    found: Callable[..., str],
) -> None:
    run = factories.make_execution()
    other = factories.make_execution()
    page = reverse("admin:workflows_workflowexecution_change", args=(run.pk,))
    for text in (str(run.pk), str(run.pk).upper(), run.pk.hex, run.pk.hex[:31], run.short_id):
        assert page in found(text)
    assert str(other.pk) not in found(str(run.pk))


def test_nobody_finds_what_they_may_not_see(found: Callable[..., str]) -> None:
    make_hub()
    shown = found("text", "view_workflow")
    assert "Nothing found" in shown
    run = WorkflowExecution.objects.first()
    assert run is not None
    assert "Nothing found" in found(str(run.pk), "view_service", "view_workflow")
    assert "text-extraction" in found("text", "view_service")


@pytest.mark.parametrize(
    "text", ["nothing-is-called-this", "%", "__", "\x00~~", "x" * 5000, "00000000"]
)
def test_nothing_found_says_so(found: Callable[..., str], text: str) -> None:
    make_hub()
    assert "Nothing found" in found(text)


def test_an_empty_text_finds_nothing_and_says_nothing(found: Callable[..., str]) -> None:
    assert found("  ").strip() == ""


def test_the_closest_name_comes_first(found: Callable[..., str]) -> None:
    for name in ("a-mail", "mail-archive", "mail"):
        factories.make_service(name)
    shown = found("mail")
    assert shown.index(">mail<") < shown.index("mail-archive") < shown.index("a-mail")


def test_it_costs_the_same_with_many_rows(client: Client, django_user_model: Any) -> None:
    client.force_login(User.objects.create_superuser("root"))

    def ask() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(reverse("admin:search"), {"s": "many"})
        return len(queries), answer.content.count(b"<li")

    ask()
    workflow = factories.make_workflow("many")
    fill(workflow, 1)
    few, _ = ask()
    fill(workflow, 300)
    much, shown = ask()
    assert much == few
    assert shown < 30


def fill(workflow: Workflow, count: int) -> None:
    begun = Service.objects.count()
    services = [Service(name=f"many-{begun + number}") for number in range(count)]
    Service.objects.bulk_create(services)
    ServiceInstance.objects.bulk_create(
        ServiceInstance(service=service, url="http://many") for service in services
    )
    WorkflowExecution.objects.bulk_create(
        WorkflowExecution(workflow=workflow, workflow_name="many", created_at=timezone.now())
        for _ in range(count)
    )
