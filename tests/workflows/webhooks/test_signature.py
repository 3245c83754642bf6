"""Signatures of messages, held against the example of the Standard Webhooks specification."""

from __future__ import annotations

import pickle

import pytest

from core.exceptions import ValidationFailed
from core.vault import Secret
from registry.credentials.signing_key import key_of
from registry.credentials.type_specs import check_secret
from registry.credentials.webhook_signature import signature_of
from service_integration_client import sign_webhook
from workflows.webhooks.signature import (
    MessageRefused,
    check_time,
    is_signed_with,
    read_message,
    refusal_of_signature,
)

SECRET = Secret("whsec_plJ3nmyCDGBKInavdOK15jsl")
ID, AT = "msg_loFOjxBNrRLzqYUf", 1731705121
BODY = b'{"event_type":"ping","data":{"success":true}}'
SIGNATURE = "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="


def headers(**more):
    given = {"Webhook-Id": ID, "Webhook-Timestamp": str(AT), "Webhook-Signature": SIGNATURE}
    return {**given, **more}


def check_message(message, secret, *, now):
    if not is_signed_with(message, secret):
        raise refusal_of_signature()
    check_time(message, now=now)


def refusal_of(given, body=BODY, *, secret=SECRET, now=AT):
    with pytest.raises(MessageRefused) as caught:
        check_message(read_message(given, body), secret, now=now)
    return caught.value.details["reason"]


def test_example_of_the_specification():
    assert f"v1,{signature_of(ID, str(AT), BODY, SECRET)}" == SIGNATURE
    check_message(read_message(headers(), BODY), SECRET, now=AT)


@pytest.mark.parametrize("away", [-300, 300])
def test_five_minutes_either_way(away):
    check_message(read_message(headers(), BODY), SECRET, now=AT + away)


@pytest.mark.parametrize("away", [-301, 301])
def test_more_than_five_minutes_is_refused(away):
    assert refusal_of(headers(), now=AT + away) == "wrong_time"


@pytest.mark.parametrize(
    "changed",
    [
        {"Webhook-Id": "msg_other"},
        {"Webhook-Timestamp": str(AT + 1)},
        {"Webhook-Signature": "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD1="},
        {"Webhook-Signature": "v1,ä"},
    ],
)
def test_any_other_header_is_refused(changed):
    assert refusal_of(headers(**changed)) == "bad_signature"


def test_another_body_or_secret_is_refused():
    assert refusal_of(headers(), BODY + b" ") == "bad_signature"
    assert refusal_of(headers(), secret=Secret("another secret than that")) == "bad_signature"


def test_one_of_several_signatures_is_enough():
    both = (
        f"v1,{signature_of(ID, str(AT), BODY, Secret('the secret of before'))} v1a,xyz {SIGNATURE}"
    )
    check_message(read_message(headers(**{"Webhook-Signature": both}), BODY), SECRET, now=AT)


@pytest.mark.parametrize("name", ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"])
def test_every_header_is_needed(name):
    assert refusal_of(headers(**{name: ""})) == "missing_header"
    assert refusal_of(headers(**{name: "x" * 2001})) == "malformed_header"


@pytest.mark.parametrize(
    "wrong",
    [
        {"Webhook-Id": "a.1"},
        {"Webhook-Id": "a b"},
        {"Webhook-Id": "x" * 201},
        {"Webhook-Timestamp": "1.5"},
        {"Webhook-Timestamp": "-1"},
        {"Webhook-Timestamp": "٣"},
        {"Webhook-Timestamp": "9" * 13},
        {"Webhook-Signature": "rAvfW3dJ"},
        {"Webhook-Signature": "v2,rAvfW3dJ"},
    ],
)
def test_headers_that_are_none(wrong):
    assert refusal_of(headers(**wrong)) == "malformed_header"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("a plain secret, long", b"a plain secret, long"),
        ("whsec_MTIzNDU2Nzg5MDEyMzQ1Ng==", b"1234567890123456"),
        ("whsec_MTIzNDU2Nzg5MDEyMzQ1Ng", b"1234567890123456"),
        ("whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4", b"123456789012345678"),
        (" whsec_MTIzNDU2Nzg5", b" whsec_MTIzNDU2Nzg5"),
    ],
)
def test_secrets_of_any_form(text, key):
    assert key_of(text) == key
    sent = sign_webhook(text, BODY, message_id=ID, timestamp=AT)
    check_message(read_message(sent, BODY), Secret(text), now=AT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "whsec_no base64",
        "whsec_a",
        "whsec_cGx==",
        "whsec_-_-_",
        "whsec_aGk=\n",
    ],
)
def test_a_secret_that_stands_for_no_key_is_refused(text):
    with pytest.raises(ValueError):
        key_of(text)
    with pytest.raises(ValueError):
        sign_webhook(text, BODY)
    assert_refused(text)


@pytest.mark.parametrize("text", ["fifteen bytes..", "whsec_MTIzNDU2Nzg5MDEyMzQ1"])
def test_a_secret_that_could_be_guessed_is_refused(text):
    with pytest.raises(ValueError, match="15 bytes"):
        key_of(text)
    assert_refused(text)


def assert_refused(text):
    with pytest.raises(ValidationFailed) as refused:
        check_secret("HMAC_SIGNATURE", {"key": text}, {})
    assert list(refused.value.errors) == ["secret.key"]


@pytest.mark.parametrize("sent_at", [f"0{AT}", f"00{AT}"])
def test_the_time_is_signed_as_it_was_sent(sent_at):
    as_sent = f"v1,{signature_of(ID, sent_at, BODY, SECRET)}"
    sent = {"Webhook-Timestamp": sent_at, "Webhook-Signature": as_sent}
    check_message(read_message(headers(**sent), BODY), SECRET, now=AT)
    assert refusal_of(headers(**{"Webhook-Timestamp": sent_at})) == "bad_signature"


def test_refusals_can_be_pickled():
    error = MessageRefused("no", reason="bad_signature")
    again = pickle.loads(pickle.dumps(error))
    assert (again.message, again.details) == (error.message, error.details)
