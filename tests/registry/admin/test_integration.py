"""Integrations in the admin: listed with their arrows, edited by the same rules, tried."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from integration_site.admin_groups import create_roles
from registry.models import Connection, Integration, IntegrationExecution
from tests import factories
from tests.support.credentials import make_credential
from tests.support.integrations import coordinator, own_client
from tests.support.people import in_groups

pytestmark = [pytest.mark.django_db, pytest.mark.once]
LIST = reverse("admin:registry_integration_changelist")
ADD = reverse("admin:registry_integration_add")


def make(name="chat", **fields):
    given = {"target": "project-coordinator", "action": "create_project", **fields}
    return Integration.objects.create(name=name, source="web-dashboard", **given)


def page(integration):
    return reverse("admin:registry_integration_change", args=(integration.pk,))


def posted(**fields):
    return {
        "name": "chat", "type": "SERVICE_CALL", "status": "ACTIVE", "description": "",
        "source": "web-dashboard", "target_kind": "SERVICE", "target": "project-coordinator",
        "action": "create_project", "connection": "", "method": "POST", "path": "",
        "request_mapping": '{"name": "$.input.title"}', "response_mapping": "$.output.name",
        "unknown_fields": "STRIP", "config": "{}", **fields,
    }  # fmt: skip


def test_the_list_shows_who_calls_whom_at_constant_cost(admin):
    make(status="ERROR")
    with CaptureQueriesContext(connection) as few:
        text = admin.get(LIST).content.decode()
    for words in ("web-dashboard", "hub-flow-arrow", "project-coordinator", "create_project"):
        assert words in text
    assert 'data-tone="bad">Error' in text
    for number in range(5):
        make(f"more-{number}")
    with CaptureQueriesContext(connection) as many:
        admin.get(LIST)
    assert len(many) == len(few)


def test_empty_lists_and_pages_open(admin):
    for url in (LIST, ADD, reverse("admin:registry_integrationexecution_changelist")):
        assert admin.get(url).status_code == 200


def test_form_makes_and_changes_an_integration(admin):
    factories.make_service("project-coordinator", actions=("create_project",))
    assert admin.post(ADD, posted()).status_code == 302
    made = Integration.objects.get()
    assert made.request_mapping == {"name": "$.input.title"}
    assert made.response_mapping == "$.output.name"
    Integration.objects.update(status="ERROR", failures_in_a_row=5)
    text = admin.get(page(made)).content.decode()
    assert "$.output.name" in text
    changed = posted(request_mapping="", description="new")
    assert admin.post(page(made), changed).status_code == 302
    made.refresh_from_db()
    assert (made.request_mapping, made.description) == (None, "new")
    # The status was not touched: what the hub found out stays.
    assert (made.status, made.failures_in_a_row) == ("ERROR", 5)
    assert admin.post(page(made), posted(status="INACTIVE")).status_code == 302
    made.refresh_from_db()
    assert (made.status, made.failures_in_a_row) == ("INACTIVE", 0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"request_mapping": '{"a": {"b": "$.steps.x"}}'}, "a.b: There is no &#x27;steps&#x27;"),
        ({"request_mapping": "{"}, "Not JSON"),
        ({"response_mapping": "$.output["}, "incomplete"),
        ({"target": "none"}, "No service named"),
        ({"action": "none"}, "It has: create_project"),
        ({"target_kind": "CONNECTION"}, "Give one of service"),
        ({"config": '{"x": 1}'}, "timeout_seconds"),
    ],
)
def test_form_names_what_is_wrong(admin, fields, words):
    factories.make_service("project-coordinator", actions=("create_project",))
    answer = admin.post(ADD, posted(**fields))
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert not Integration.objects.exists()


def test_page_shows_what_became_of_executions(admin):
    integration = make()
    warning = {"code": "unknown_fields", "message": "It does not know 'status': dropped."}
    IntegrationExecution.objects.create(
        integration=integration, status="COMPLETED", started_at=timezone.now(), warnings=[warning]
    )
    failed = IntegrationExecution.objects.create(
        integration=integration, status="FAILED", started_at=timezone.now(),
        error={"code": "service_timeout", "message": "No answer in time."},
    )  # fmt: skip
    for url in (page(integration), reverse("admin:registry_integrationexecution_changelist")):
        text = admin.get(url).content.decode()
        assert "No answer in time." in text
        assert "does not know &#x27;status&#x27;: dropped." in text
    url = reverse("admin:registry_integrationexecution_change", args=(failed.pk,))
    assert "service_timeout" in admin.get(url).content.decode()


@pytest.mark.django_db(transaction=True)
def test_trying_shows_the_request_as_mapped_and_sends_only_when_told(admin, tmp_path):
    with own_client(), coordinator(tmp_path) as service:
        integration = make(target=service.name, unknown_fields="STRIP", status="DRAFT")
        url = reverse("admin:integration_try", args=(integration.pk,))
        assert admin.get(url).status_code == 200
        given = {"payload": '{"name": "New", "status": "PLANNING"}', "context": ""}
        text = admin.post(url, {**given, "map": "1"}).content.decode()
        assert "This would be sent" in text
        assert "does not know &#x27;status&#x27;: dropped." in text
        assert not IntegrationExecution.objects.exists()
        text = admin.post(url, {**given, "send": "1"}).content.decode()
        assert "This is what came back" in text
        assert "project_id" in text
        Integration.objects.update(unknown_fields="REJECT")
        text = admin.post(url, {**given, "map": "1"}).content.decode()
        assert "schema_violation" in text
    entry = IntegrationExecution.objects.get()
    assert (entry.status, entry.actor) == ("COMPLETED", "root")


def test_who_may():
    integration = make()
    viewer, operator = in_groups("viewer"), in_groups("operator")
    assert viewer.get(page(integration)).status_code == 200
    try_url = reverse("admin:integration_try", args=(integration.pk,))
    assert viewer.get(try_url).status_code == 403
    assert viewer.post(page(integration), posted()).status_code == 403
    assert operator.get(try_url).status_code == 200


def test_connection_with_a_credential_takes_its_own_permission():
    credential = make_credential("API_KEY", allowed_origins=["http://127.0.0.1:9"])
    crm = Connection.objects.create(
        name="crm", type="HTTP", base_url="http://127.0.0.1:9", credential=credential
    )
    given = posted(target_kind="CONNECTION", target="", action="", connection=str(crm.pk))
    operator = in_groups("operator")
    User.objects.get().groups.get().permissions.remove(
        *User.objects.get().groups.get().permissions.filter(codename="use_credential")
    )
    assert "credentials:use" in operator.post(ADD, given).content.decode()
    create_roles()
    assert operator.post(ADD, given).status_code == 302


def test_actions_of_the_list(admin):
    factories.make_service("project-coordinator", actions=("create_project",))
    one = make(status="ERROR")
    for action, status in (("deactivate_selected", "INACTIVE"), ("activate_selected", "ACTIVE")):
        admin.post(LIST, {"action": action, "_selected_action": str(one.pk)})
        one.refresh_from_db()
        assert one.status == status
