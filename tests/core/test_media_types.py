"""A media type means the same however it is written, wherever one is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone

from core.media_types import is_json
from core.vault import Secret
from registry.credentials.webhook_signature import signature_of
from tests import factories
from tests.support.credentials import make_credential

JSON_TYPES = (
    "application/json",
    "APPLICATION/JSON",
    "Application/Json ; charset=UTF-8",
    "application/cloudevents+JSON",
    "text/json",
)
OTHER_TYPES = ("text/plain", "application/jsonp", "application/x-ndjson", "application/json5")


@pytest.mark.once
@pytest.mark.parametrize("text", JSON_TYPES)
def test_json_in_any_spelling(text: str) -> None:
    assert is_json(text)


@pytest.mark.once
@pytest.mark.parametrize("text", (*OTHER_TYPES, "", None))
def test_what_only_looks_like_json(text: str | None) -> None:
    assert not is_json(text)


def _status_of_registration(content_type: str) -> int:
    body = json.dumps({"name": "planner", "url": "http://127.0.0.1:9"})
    answer = factories.caller().post("/services", body, content_type=content_type)
    return answer.status_code


def _status_of_webhook(content_type: str) -> int:
    secret, now = "signing-key-0123456789", int(timezone.now().timestamp())
    make_credential("HMAC_SIGNATURE", name="shop", secret={"key": secret}, allowed_origins=[])
    factories.make_workflow("fulfil")
    made = {"name": "orders", "credential": "shop", "workflow": "fulfil"}
    assert factories.caller().post("/webhooks", made).status_code == 201
    signature = signature_of("m-1", str(now), b'{"text": "a"}', Secret(secret))
    headers = {
        "Webhook-Id": "m-1",
        "Webhook-Timestamp": str(now),
        "Webhook-Signature": f"v1,{signature}",
    }
    answer = factories.caller().post(
        "/webhooks/orders", b'{"text": "a"}', content_type=content_type, headers=headers
    )
    return answer.status_code


@pytest.mark.django_db
@pytest.mark.parametrize("send", [_status_of_registration, _status_of_webhook])
@pytest.mark.parametrize("text", JSON_TYPES)
def test_bodies_are_taken_as_json(send: Any, text: str) -> None:
    assert send(text) in (201, 202)


@pytest.mark.django_db
@pytest.mark.parametrize("send", [_status_of_registration, _status_of_webhook])
@pytest.mark.parametrize("text", OTHER_TYPES)
def test_bodies_of_other_types_are_refused(send: Any, text: str) -> None:
    assert send(text) == 415
