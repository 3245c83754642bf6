"""Webhooks in the admin, and warnings on the page of an execution."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core.vault import Secret
from tests import factories
from tests.support.credentials import make_credential
from tests.support.waiting import PATIENCE
from workflows.admin.webhook import curl_of
from workflows.models import Webhook, WebhookDelivery
from workflows.services import create_webhook
from workflows.webhooks.signature import is_signed_with, read_message

pytestmark = [pytest.mark.django_db, pytest.mark.once]
LIST = "/admin/workflows/webhook/"


@pytest.fixture
def credential():
    return make_credential("HMAC_SIGNATURE", name="shop", allowed_origins=[])


def make(name="orders", **fields):
    given = {"credential": "shop", "workflow": factories.make_workflow(), **fields}
    return create_webhook({"name": name, **given})


def page(webhook):
    return f"{LIST}{webhook.pk}/change/"


def posted(credential, **fields):
    return {
        "name": "orders", "description": "", "enabled": "on", "credential": str(credential.pk),
        "effect": "EXECUTION", "workflow": "", "signal": "", "find_by": "CORRELATION_ID",
        "find": "", "mapping": "", **fields,
    }  # fmt: skip


def test_the_list_shows_what_a_message_does_at_constant_cost(admin, credential):
    webhook = make()
    WebhookDelivery.objects.create(webhook=webhook, outcome="REFUSED", code="bad_signature")
    with CaptureQueriesContext(connection) as few:
        text = admin.get(LIST).content.decode()
    for words in ("orders", "Active", "hub-flow-arrow", "starts", "shop", "Refused"):
        assert words in text
    for number in range(5):
        make(f"more-{number}")
    with CaptureQueriesContext(connection) as many:
        admin.get(LIST)
    assert len(many) == len(few)


def test_form_makes_and_changes_a_webhook(admin, credential):
    workflow = factories.make_workflow("fulfil")
    given = posted(credential, workflow=str(workflow.pk), mapping='{"id": "$.input.id"}')
    assert admin.get(f"{LIST}add/").status_code == 200
    assert admin.post(f"{LIST}add/", given).status_code == 302
    webhook = Webhook.objects.get()
    assert webhook.mapping == {"id": "$.input.id"}
    changed = {**given, "mapping": "$.input.order"}
    changed.pop("enabled")
    assert admin.post(page(webhook), changed).status_code == 302
    webhook.refresh_from_db()
    assert (webhook.mapping, webhook.enabled) == ("$.input.order", False)
    assert admin.post(f"{page(webhook).replace('change', 'delete')}", {"post": "yes"})
    assert not Webhook.objects.exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Say which workflow is started."),
        ({"effect": "SIGNAL"}, "A signal needs it"),
        ({"mapping": '{"a": "$.payload"}'}, "a: There is no &#x27;payload&#x27;"),
        ({"find": "id"}, "begins with $."),
    ],
)
def test_form_names_what_is_wrong(admin, credential, fields, words):
    answer = admin.post(f"{LIST}add/", posted(credential, **fields))
    assert answer.status_code == 200
    assert words in answer.content.decode()


def test_page_says_how_to_call_it_and_what_came(admin, credential):
    webhook = make(name="my orders")
    execution = factories.make_execution()
    WebhookDelivery.objects.create(
        webhook=webhook, outcome="ACCEPTED", message_id="msg-1", execution_id=execution.pk
    )
    text = admin.get(page(webhook)).content.decode()
    assert "http://testserver/webhooks/my%20orders" in text
    assert str(execution.pk) in text
    assert "signing-key" not in text
    listed = admin.get(reverse("admin:workflows_webhookdelivery_changelist")).content.decode()
    assert "msg-1" in listed
    delivery = WebhookDelivery.objects.get()
    url = reverse("admin:workflows_webhookdelivery_change", args=(delivery.pk,))
    assert str(execution.pk) in admin.get(url).content.decode()


def test_form_and_page_carry_the_rotation_of_the_secret(admin, credential):
    newer = make_credential("HMAC_SIGNATURE", name="shop-2", allowed_origins=[])
    webhook = make()
    given = {"effect": "EXECUTION", "workflow": str(webhook.workflow_id)}
    rotating = posted(newer, old_credential=str(credential.pk), **given)
    assert admin.post(page(webhook), rotating).status_code == 302
    webhook.refresh_from_db()
    assert webhook.credentials == (newer, credential)
    text = admin.get(page(webhook)).content.decode()
    assert "what is signed with “shop” is taken too" in text
    assert "shop-2 or shop" in admin.get(LIST).content.decode()
    same = posted(newer, old_credential=str(newer.pk), **given)
    assert "It is the present one" in admin.post(page(webhook), same).content.decode()
    assert admin.post(page(webhook), posted(newer, old_credential="", **given)).status_code == 302
    webhook.refresh_from_db()
    assert webhook.credentials == (newer,)


def test_the_page_of_a_credential_lists_the_webhooks_that_use_it(admin, client, credential):
    make_credential("HMAC_SIGNATURE", name="shop-2", allowed_origins=[])
    webhook, before = make(), make(name="before", old_credential="shop", credential="shop-2")
    url = f"/admin/registry/credential/{credential.pk}/change/"
    text = admin.get(url).content.decode()
    assert page(webhook) in text
    assert page(before) in text
    person = User.objects.create_user("secrets", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename="view_credential"))
    client.force_login(person)
    text = client.get(url).content.decode()
    assert "before" in text
    assert page(webhook) not in text  # whose page they may not see


@pytest.mark.parametrize("secret", ["whsec_plJ3nmyCDGBKInavdOK15jsl", "plain-secret-of-16"])
def test_the_commands_on_the_page_sign_rightly(rf, credential, secret):
    heard = []

    class Door(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append(read_message(self.headers, body))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        host = f"127.0.0.1:{server.server_port}"
        script = curl_of(make(), rf.get("/", headers={"host": host}))
        script = script.replace("whsec_…", secret)
        subprocess.run(["bash", "-ec", script], check=True, capture_output=True, timeout=PATIENCE)
    finally:
        server.shutdown()
        server.server_close()
    [message] = heard
    assert is_signed_with(message, Secret(secret))


def test_warnings_are_on_the_page_of_an_execution(admin):
    execution = factories.make_execution(status="COMPLETED")
    warning = {"code": "unknown_fields", "message": "It does not know 'status': dropped."}
    execution.steps.update(status="COMPLETED", warnings=[warning])
    url = reverse("admin:workflows_workflowexecution_change", args=(execution.pk,))
    assert "does not know &#x27;status&#x27;: dropped." in admin.get(url).content.decode()


def test_deliveries_of_one_webhook_are_found_among_many(admin, credential):
    webhook, other = make(), make(name="z-other")
    for each in (webhook, other):
        WebhookDelivery.objects.create(webhook=each, outcome="ACCEPTED", message_id=each.name)
    listed = reverse("admin:workflows_webhookdelivery_changelist")
    assert f"{listed}?webhook={webhook.pk}" in admin.get(page(webhook)).content.decode()
    rows = admin.get(listed, {"webhook": webhook.pk}).context["cl"].result_list
    assert [row.message_id for row in rows] == ["orders"]
    assert list(admin.get(listed, {"webhook": "none"}).context["cl"].result_list) == []


def test_the_page_of_a_credential_says_when_more_use_it(admin, credential, monkeypatch):
    url = f"/admin/registry/credential/{credential.pk}/change/"
    make()
    text = admin.get(url).content.decode()
    assert ">and more<" not in text
    assert "webhooks need none" in text
    monkeypatch.setattr("registry.admin.credential.MOST_USERS", 1)
    make(name="another")
    assert ">and more<" in admin.get(url).content.decode()
