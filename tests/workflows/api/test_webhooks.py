"""Webhooks over the API: kept, called with signatures, delivered once."""

from __future__ import annotations

import json
import threading
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from core.vault import Secret
from registry.credentials.webhook_signature import signature_of
from registry.models import Credential, CredentialEvent
from tests import factories
from tests.support.credentials import make_credential
from workflows.models import StepStatus, WebhookDelivery, WorkflowExecution, WorkflowStep
from workflows.services import forget_deliveries

pytestmark = pytest.mark.django_db
SECRET = "whsec_plJ3nmyCDGBKInavdOK15jsl"
NEW_SECRET = "whsec_bmV3LXNlY3JldC0wMTIzNDU2Nzg5"
ORDER = {"type": "order.placed", "order": {"id": "o-17", "total": 12.5}}


@pytest.fixture
def credential():
    return make_credential(
        "HMAC_SIGNATURE", name="shop", secret={"key": SECRET}, allowed_origins=[]
    )


@pytest.fixture
def workflow():
    return factories.make_workflow("fulfil")


def make_webhook(api, **fields):
    body = {"name": "orders", "credential": "shop", "workflow": "fulfil", **fields}
    answer = api.post("/webhooks", body)
    assert answer.status_code == 201, answer.content
    return answer.json()


def signed(body, *, id="msg-1", at=None, secret=SECRET):
    at = at or int(timezone.now().timestamp())
    return {
        "HTTP_WEBHOOK_ID": id,
        "HTTP_WEBHOOK_TIMESTAMP": str(at),
        "HTTP_WEBHOOK_SIGNATURE": f"v1,{signature_of(id, str(at), body, Secret(secret))}",
    }


def send(document=ORDER, *, path="/webhooks/orders", **how):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return APIClient(raise_request_exception=False).generic(
        "POST", path, body, "application/json", **signed(body, **how)
    )


def deliveries(api, **query):
    return api.get("/webhooks/orders/deliveries", query).json()["items"]


# Starting


def test_message_starts_an_execution_with_what_it_is_mapped_to(api, credential, workflow):
    mapping = {"order_id": "$.input.order.id", "sent_by": "$.context.webhook"}
    made = make_webhook(api, mapping=mapping, find="$.input.order.id")
    assert made["path"] == "/webhooks/orders"
    answer = send(path="/api/webhooks/Orders/")
    assert answer.status_code == 202, answer.content
    execution = WorkflowExecution.objects.get(pk=answer.json()["execution_id"])
    assert execution.input == {"order_id": "o-17", "sent_by": "orders"}
    assert (execution.started_by, execution.correlation_id) == ("webhook:orders", "o-17")
    assert execution.context["webhook_id"] == "msg-1"
    [entry] = deliveries(api)
    assert entry["execution_id"] == str(execution.pk)
    assert (entry["outcome"], entry["message_id"], entry["count"]) == ("ACCEPTED", "msg-1", 1)
    used = CredentialEvent.objects.get(kind="USED")
    assert (used.actor, used.subject) == ("webhook:orders", "webhook orders")
    credential.refresh_from_db()
    assert credential.last_used_at is not None


def test_the_same_message_again_does_nothing_and_is_told_what_it_did(api, credential, workflow):
    make_webhook(api)
    first, again = send().json(), send()
    assert again.status_code == 200
    assert again.json() == {**first, "status": "DUPLICATE"}
    assert WorkflowExecution.objects.count() == 1
    [entry] = deliveries(api)
    assert entry["count"] == 2


def test_id_that_came_with_another_body_is_refused(api, credential, workflow):
    make_webhook(api)
    send()
    answer = send({**ORDER, "more": 1})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert WorkflowExecution.objects.count() == 1


def test_two_webhooks_may_have_the_same_id(api, credential, workflow):
    make_webhook(api)
    make_webhook(api, name="others")
    assert send().status_code == send(path="/webhooks/others").status_code == 202


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"secret": "another secret than that"}, "bad_signature"),
        ({"at": 1731705121}, "wrong_time"),
        ({"id": "a.b"}, "malformed_header"),
    ],
)
def test_what_is_not_signed_right_is_refused_and_counted(api, credential, workflow, how, reason):
    make_webhook(api)
    for _ in range(3):
        answer = send(**how)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.json()["reason"] == reason
    [entry] = deliveries(api, outcome="refused")
    assert (entry["code"], entry["count"], entry["message_id"]) == (reason, 3, "")
    assert not WorkflowExecution.objects.exists()


def test_a_key_of_the_api_is_no_signature(api, credential, workflow):
    make_webhook(api)
    answer = api.post("/webhooks/orders", ORDER)
    assert (answer.status_code, answer.json()["reason"]) == (401, "missing_header")


def test_one_that_is_switched_off_takes_nothing_and_says_so_to_the_sender_only(
    api, credential, workflow
):
    make_webhook(api, enabled=False)
    assert send().status_code == 409
    assert send(secret="another secret of a stranger").status_code == 401
    api.patch("/webhooks/orders", {"enabled": True})
    assert send().status_code == 202


def test_what_cannot_be_started_is_refused_and_may_come_again(api, credential, workflow):
    make_webhook(api)
    api.patch("/workflows/fulfil", {"status": "INACTIVE"})
    assert send().status_code == 409
    assert send().status_code == 409
    [entry] = deliveries(api)
    assert (entry["outcome"], entry["message_id"], entry["count"]) == ("FAILED", "msg-1", 2)
    assert "INACTIVE" in entry["reason"]
    api.patch("/workflows/fulfil", {"status": "ACTIVE"})
    assert send().status_code == 202


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"[1]", 400, "malformed_json"),
        (b'{"a": 1, "a": 2}', 400, "malformed_json"),
        (b"", 400, "malformed_json"),
        (b"{" + b" " * (1 << 20) + b"}", 413, "payload_too_large"),
    ],
)
def test_bodies_that_are_not_taken(api, credential, workflow, body, status, code):
    make_webhook(api)
    answer = send(body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_other_content_types_are_refused(api, credential, workflow):
    make_webhook(api)
    answer = APIClient().generic(
        "POST", "/webhooks/orders", b"a=1", "application/x-www-form-urlencoded", **signed(b"a=1")
    )
    assert answer.status_code == 415


def test_message_that_cannot_be_mapped_leaves_no_value_behind(api, credential, workflow):
    make_webhook(api, mapping={"n": "$.add(input.a, input.b)"})
    answer = send({"a": 1, "b": "geheim-77"})
    assert (answer.status_code, answer.json()["code"]) == (400, "expression_error")
    assert "geheim" not in str(list(WebhookDelivery.objects.values()))


@pytest.mark.django_db(transaction=True)
def test_the_same_message_twice_at_once_starts_one(credential, workflow):
    make_webhook(factories.caller())
    answers = []

    def knock():
        answers.append(send())
        connection.close()

    threads = [threading.Thread(target=knock) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert WorkflowExecution.objects.count() == 1
    assert sorted({a.status_code for a in answers} - {503}) in ([200, 202], [202])


# Signals


SIGNAL = {
    "effect": "signal",
    "workflow": None,
    "signal": "$.input.type",
    "find": "$.input.order.id",
    "mapping": "$.input.order",
}


def waiting(correlation="o-17", *, event="order.placed", **fields):
    execution = factories.make_execution(status="WAITING", correlation_id=correlation, **fields)
    WorkflowStep.objects.create(
        execution=execution, step_id="paid", path="paid", status=StepStatus.WAITING,
        input={"event": event},
    )  # fmt: skip
    return execution


def test_message_signals_the_execution_that_waits_for_it(api, credential):
    make_webhook(api, **SIGNAL)
    other = factories.make_execution(status="RUNNING", correlation_id="o-17")
    execution = waiting()
    answer = send()
    assert answer.status_code == 202, answer.content
    assert answer.json()["execution_id"] == str(execution.pk)
    event = execution.events.get(kind="SIGNAL")
    assert event.payload == {"name": "order.placed", "payload": ORDER["order"]}
    assert event.actor == "webhook:orders"
    assert send().status_code == 200
    assert execution.events.filter(kind="SIGNAL").count() == 1
    assert not other.events.filter(kind="SIGNAL").exists()


def test_message_that_comes_early_goes_to_the_execution_of_its_correlation_id(api, credential):
    make_webhook(api, **SIGNAL)
    execution = factories.make_execution(status="RUNNING", correlation_id="o-17")
    assert send().json()["execution_id"] == str(execution.pk)


def test_execution_by_its_id(api, credential):
    make_webhook(api, **{**SIGNAL, "find_by": "execution_id", "find": "$.input.execution"})
    execution = waiting("")
    assert send({**ORDER, "execution": str(execution.pk)}).status_code == 202
    assert send({**ORDER, "execution": str(uuid.uuid4())}, id="msg-2").status_code == 404
    assert send({**ORDER, "execution": None}, id="msg-3").status_code == 400


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "CANCELLED"])
def test_execution_that_ended_is_not_found(api, credential, status):
    make_webhook(api, **SIGNAL)
    factories.make_execution(status=status, correlation_id="o-17")
    assert send().status_code == 404
    [entry] = deliveries(api)
    assert (entry["outcome"], entry["code"]) == ("FAILED", "not_found")


def test_several_executions_are_not_guessed_among(api, credential, workflow):
    make_webhook(api, **SIGNAL)
    waiting()
    right = waiting(workflow=workflow)
    assert send().status_code == 409
    api.patch("/webhooks/orders", {"workflow": "fulfil"})
    assert send().json()["execution_id"] == str(right.pk)


# Keeping


def test_webhooks_are_made_read_changed_and_deleted(api, credential, workflow):
    made = make_webhook(api, description="Orders of the shop")
    assert made["credential"] == "shop"
    assert api.get("/webhooks").json()["total"] == 1
    assert api.get("/webhooks?effect=signal").json()["total"] == 0
    read = api.get("/webhooks/ORDERS")
    stale = api.patch("/webhooks/orders", {"enabled": False}, HTTP_IF_MATCH='"other"')
    assert stale.status_code == 412
    changed = api.put(f"/webhooks/{made['id']}", {"mapping": None}, HTTP_IF_MATCH=read["ETag"])
    assert changed.status_code == 200
    assert api.delete("/webhooks/orders").status_code == 204
    assert api.get("/webhooks/orders").status_code == 404
    kinds = [e.kind for e in CredentialEvent.objects.order_by("id")]
    assert kinds == ["CREATED", "LINKED", "UNLINKED"]


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"credential": "none"}, "credential", "No credential"),
        ({"credential": "token"}, "credential", "HMAC_SIGNATURE"),
        ({"workflow": "none"}, "workflow", "No workflow"),
        ({"workflow": None}, "workflow", "which workflow"),
        ({"effect": "signal"}, "signal", "needs it"),
        ({"effect": "signal", "signal": "x"}, "find", "needs it"),
        ({"effect": "nonsense"}, "effect", "Use one of"),
        ({"find": "input.id"}, "find", "begins with $."),
        ({"signal": "$.steps.a"}, "signal", "no 'steps'"),
        ({"mapping": 7}, "mapping", "object"),
        ({"mapping": {"a": "$.payload.x"}}, "mapping.a", "called 'input'"),
        ({"mapping": {"a": ["$.input["]}}, "mapping.a[0]", "incomplete"),
        ({"name": "a/b"}, "name", "letters"),
        ({"secret": "x"}, "secret", "no such field"),
    ],
)
def test_what_is_wrong_is_named(api, credential, workflow, fields, path, words):
    make_credential("BEARER_TOKEN", name="token")
    body = {"name": "orders", "credential": "shop", "workflow": "fulfil", **fields}
    answer = api.post("/webhooks", body)
    assert answer.status_code == 400
    [(found, sentences)] = answer.json()["errors"].items()
    assert found == path
    assert words in sentences[0]


def test_names_are_taken_once(api, credential, workflow):
    make_webhook(api)
    answer = api.post("/webhooks", {"name": "ORDERS", "credential": "shop", "workflow": "fulfil"})
    assert answer.status_code == 409


def test_giving_it_a_credential_takes_its_own_permission(api, credential, workflow):
    editor = factories.caller("WORKFLOW_EDITOR")
    body = {"name": "orders", "credential": "shop", "workflow": "fulfil"}
    assert editor.post("/webhooks", body).status_code == 403
    make_webhook(api)
    assert editor.patch("/webhooks/orders", {"enabled": False}).status_code == 200
    assert editor.patch("/webhooks/orders", {"credential": "shop"}).status_code == 403
    assert factories.caller("VIEWER").get("/webhooks").status_code == 200
    assert factories.caller("VIEWER").delete("/webhooks/orders").status_code == 403
    assert APIClient().get("/webhooks").status_code == 401


def test_credential_of_a_webhook_stays(api, credential, workflow):
    make_webhook(api)
    answer = factories.caller("SECRET_ADMIN").delete("/registry/credentials/shop")
    assert answer.status_code == 409
    assert "is used by webhook orders" in answer.json()["detail"]
    assert Credential.objects.count() == 1


# Two secrets


@pytest.fixture
def newer():
    return make_credential(
        "HMAC_SIGNATURE", name="shop-2", secret={"key": NEW_SECRET}, allowed_origins=[]
    )


def test_both_secrets_are_taken_until_the_old_one_is_ended(api, credential, newer, workflow):
    make_webhook(api)
    assert send(id="msg-0", secret=NEW_SECRET).status_code == 401
    rotating = api.patch("/webhooks/orders", {"credential": "shop-2", "old_credential": "shop"})
    assert rotating.status_code == 200, rotating.content
    assert (rotating.json()["credential"], rotating.json()["old_credential"]) == ("shop-2", "shop")
    assert [send(id="msg-1").status_code, send(id="msg-2", secret=NEW_SECRET).status_code] == [
        202
    ] * 2
    assert send(id="msg-3", secret="whsec_c3RyYW5nZXItc2VjcmV0LTE2LWJ5dGVz").status_code == 401
    # Each secret's own trail says that it was used.
    for row in (credential, newer):
        used = CredentialEvent.objects.of(row).filter(kind="USED", subject="webhook orders")
        assert used.count() == 1
    for end in (None, ""):
        ended = api.patch("/webhooks/orders", {"old_credential": end})
        assert ended.json()["old_credential"] is None
    assert [send(id="msg-4").status_code, send(id="msg-5", secret=NEW_SECRET).status_code] == [
        401,
        202,
    ]
    kinds = CredentialEvent.objects.of(credential).exclude(kind__in=["USED", "CREATED"])
    assert sorted(kinds.values_list("kind", flat=True)) == ["LINKED", "UNLINKED"]


def test_the_same_message_signed_with_the_other_secret_is_still_the_same(
    api, credential, newer, workflow
):
    make_webhook(api, credential="shop-2", old_credential="shop")
    assert send().status_code == 202
    assert send(secret=NEW_SECRET).json()["status"] == "DUPLICATE"


def test_an_old_secret_ends_by_itself(api, credential, newer, workflow):
    make_webhook(api, credential="shop-2", old_credential="shop")
    Credential.objects.filter(pk=credential.pk).update(expires_at=timezone.now())
    answer = send()
    assert (answer.status_code, answer.json()["reason"]) == (401, "expired_secret")
    assert "shop" not in answer.json()["detail"]
    assert send(secret=NEW_SECRET).status_code == 202


def test_an_old_secret_that_cannot_be_read_stops_no_new_one(api, credential, newer, workflow):
    make_webhook(api, credential="shop-2", old_credential="shop")
    Credential.objects.filter(pk=credential.pk).update(key_id="gone")
    assert send(id="msg-1", secret=NEW_SECRET).status_code == 202
    assert send(id="msg-2").status_code == 503


@pytest.mark.parametrize("old", ["orders-2", "shop", "token"])
def test_old_secret_is_another_one_that_signs(api, credential, workflow, old):
    make_credential("BEARER_TOKEN", name="token")
    make_webhook(api)
    answer = api.patch("/webhooks/orders", {"old_credential": old})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["old_credential"]


def test_old_secret_takes_the_permission_and_stays_while_it_is_taken(
    api, credential, newer, workflow
):
    make_webhook(api, credential="shop-2", old_credential="shop")
    editor = factories.caller("WORKFLOW_EDITOR")
    assert editor.patch("/webhooks/orders", {"old_credential": None}).status_code == 403
    deleted = factories.caller("SECRET_ADMIN").delete("/registry/credentials/shop")
    assert (deleted.status_code, deleted.json()["code"]) == (409, "conflict")
    assert api.delete("/webhooks/orders").status_code == 204
    unlinked = CredentialEvent.objects.filter(kind="UNLINKED", subject="webhook orders")
    assert unlinked.count() == 2


# Retention


def test_history_is_bounded_and_keeps_what_refuses_a_replay(
    api, credential, workflow, settings, django_assert_max_num_queries
):
    settings.WEBHOOK_HISTORY_DAYS, settings.WEBHOOK_HISTORY_MOST = 30, 1
    make_webhook(api)
    for number in range(3):
        send(id=f"msg-{number}")
    now = timezone.now()
    assert forget_deliveries(now=now) == 0
    assert forget_deliveries(now=now + timedelta(minutes=11)) == 2
    assert [d["message_id"] for d in deliveries(api)] == ["msg-2"]
    assert forget_deliveries(now=now + timedelta(days=31)) == 1
