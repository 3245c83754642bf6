"""Messages to webhooks are signed as the specification and the hub have it."""

from __future__ import annotations

import json

import pytest
from rest_framework.test import APIClient

from service_integration_client import sign_webhook

KEY = "signing-key-0123456789"


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

    make_credential("HMAC_SIGNATURE", name="shop", secret={"key": KEY}, allowed_origins=[])
    workflow = factories.make_workflow()
    create_webhook({"name": "orders", "credential": "shop", "workflow": workflow})
    body = json.dumps({"order": 1}).encode()
    headers = sign_webhook(["older", KEY], body)
    response = APIClient().generic(
        "POST", "/webhooks/orders", body, "application/json", headers=headers
    )
    assert response.status_code == 202
