"""Integrations and webhooks through the clients."""

from __future__ import annotations

import json

import pytest
from rest_framework.test import APIClient

from service_integration_client import (
    AsyncServiceIntegrationClient,
    ServiceIntegrationClient,
    SyncServiceIntegrationClient,
    sign_webhook,
)
from tests.client.fake_hub import FakeHub, answer

TARGET = {"service": "project-coordinator", "action": "create_project"}


def test_integrations_are_made_executed_and_looked_at():
    hub = FakeHub(answer(200, {"id": "x"}))
    client = SyncServiceIntegrationClient(**hub.options())

    client.create_integration("chat", TARGET, {"name": "$.input.title"}, unknown_fields="STRIP")
    client.update_integration("chat", status="INACTIVE")
    client.execute_integration("chat", {"title": "a"}, {"user": "b"})
    client.get_integrations("SERVICE_CALL", "ACTIVE", source="web-dashboard")
    client.get_integration("chat")
    client.get_integration_executions("chat", "FAILED", per_page=5)
    client.delete_integration("chat")

    assert hub.paths() == [
        "POST /api/registry/integrations",
        "PATCH /api/registry/integrations/chat",
        "POST /api/registry/integrations/chat/execute",
        "GET /api/registry/integrations?type=SERVICE_CALL&status=ACTIVE&source=web-dashboard",
        "GET /api/registry/integrations/chat",
        "GET /api/registry/integrations/chat/executions?status=FAILED&per_page=5",
        "DELETE /api/registry/integrations/chat",
    ]
    assert hub.bodies[0] == {
        "name": "chat",
        "target": TARGET,
        "request_mapping": {"name": "$.input.title"},
        "unknown_fields": "STRIP",
    }
    assert hub.bodies[2] == {"payload": {"title": "a"}, "context": {"user": "b"}}
    keys = ["idempotency-key" in request.headers for request in hub.requests]
    assert keys == [True, True, True, False, False, False, True]


def test_webhooks_are_made_and_looked_at():
    hub = FakeHub(answer(200, {"id": "x"}))
    client = SyncServiceIntegrationClient(**hub.options())

    client.create_webhook("orders", "shop", "fulfil", {"id": "$.input.id"})
    client.update_webhook("orders", enabled=False)
    client.update_webhook("orders", credential="shop-2", old_credential="shop")
    client.update_webhook("orders", old_credential="")
    client.get_webhooks("SIGNAL")
    client.get_webhook("orders")
    client.get_webhook_deliveries("orders", "REFUSED")
    client.delete_webhook("orders")

    assert hub.paths() == [
        "POST /api/webhooks",
        "PATCH /api/webhooks/orders",
        "PATCH /api/webhooks/orders",
        "PATCH /api/webhooks/orders",
        "GET /api/webhooks?effect=SIGNAL",
        "GET /api/webhooks/orders",
        "GET /api/webhooks/orders/deliveries?outcome=REFUSED",
        "DELETE /api/webhooks/orders",
    ]
    assert hub.bodies[1:4] == [
        {"enabled": False},
        {"credential": "shop-2", "old_credential": "shop"},
        {"old_credential": ""},
    ]


async def test_every_client_executes_integrations_and_walks_their_history():
    result = {"output": {"a": 1}, "warnings": []}
    for kind in (ServiceIntegrationClient, AsyncServiceIntegrationClient):
        hub = FakeHub(answer(200, result))
        found = kind(**hub.options()).execute_integration("chat")
        assert (await found if hasattr(found, "__await__") else found) == result
    pages = [
        answer(200, {"items": [{"id": 1}], "cursor": "c"}),
        answer(200, {"items": [{"id": 2}], "cursor": None}),
    ]
    client = SyncServiceIntegrationClient(**FakeHub(*pages).options())
    assert [each["id"] for each in client.iter_integration_executions("chat")] == [1, 2]


def test_example_of_the_standard_webhooks_specification():
    headers = sign_webhook(
        "whsec_plJ3nmyCDGBKInavdOK15jsl",
        '{"event_type":"ping","data":{"success":true}}',
        message_id="msg_loFOjxBNrRLzqYUf",
        timestamp=1731705121,
    )
    assert headers == {
        "Webhook-Id": "msg_loFOjxBNrRLzqYUf",
        "Webhook-Timestamp": "1731705121",
        "Webhook-Signature": "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
    }


@pytest.mark.parametrize("secret", ["whsec_?", "whsec_", "whsec_a"])
def test_secret_that_only_begins_like_base64_is_refused(secret):
    with pytest.raises(ValueError, match=r"base64|empty key"):
        sign_webhook(secret, body="{}", message_id="m", timestamp=1)


def test_several_secrets_and_new_ids():
    headers = sign_webhook(["old", "new"], b"{}")
    assert len(headers["Webhook-Signature"].split()) == 2
    assert sign_webhook("s", b"{}")["Webhook-Id"] != headers["Webhook-Id"]


def test_the_hub_takes_what_the_client_signs(db):
    from tests import factories
    from tests.support.credentials import make_credential
    from workflows.services import create_webhook

    make_credential("HMAC_SIGNATURE", name="shop", secret={"key": "s3cret"}, allowed_origins=[])
    workflow = factories.make_workflow()
    create_webhook({"name": "orders", "credential": "shop", "workflow": workflow})
    body = json.dumps({"order": 1}).encode()
    headers = sign_webhook(["older", "s3cret"], body)
    taken = APIClient().generic(
        "POST", "/webhooks/orders", body, "application/json", headers=headers
    )
    assert taken.status_code == 202
