"""What a credential adds to a request, and what is taken out of the answer: without a database."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.vault import Secret
from registry.calls.auth.loaded_credential import LoadedCredential
from registry.calls.auth.oauth2 import read_token, token_request
from registry.calls.auth.signing import (
    RequestStamp,
    authenticate_request,
    canonical_text,
    check_usable,
    secrets_of,
)
from registry.calls.redaction import Mask
from registry.calls.request import OutboundRequest
from registry.credentials.type_specs import check_attributes
from registry.exceptions import CredentialError, TokenUnavailableError
from tests.support.credentials import ATTRIBUTES, ORIGIN, SECRETS

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
STAMP = RequestStamp(1772625600, "0123456789abcdef")
REQUEST = OutboundRequest("POST", f"{ORIGIN}/pay/1?a=%20b", b'{"amount":5}')


def loaded(type: str, secret: dict[str, str] | None = None, **attributes: Any) -> LoadedCredential:
    said = check_attributes(type, ATTRIBUTES.get(type, {}) | attributes)
    return LoadedCredential(
        id="1",
        name="billing",
        type=type,
        version=1,
        attributes=said,
        origins=frozenset({ORIGIN}),
        secret={name: Secret(value) for name, value in (secret or SECRETS[type]).items()},
    )


def headers_of(credential: LoadedCredential, **more: Any) -> dict[str, str]:
    return dict(authenticate_request(credential, REQUEST, stamp=STAMP, **more).headers)


def test_an_api_key_goes_into_its_header_or_the_query() -> None:
    assert headers_of(loaded("API_KEY")) == {"X-API-Key": "api-key-0123456789"}
    assert headers_of(loaded("API_KEY", header="Key")) == {"Key": "api-key-0123456789"}
    in_query = loaded("API_KEY", {"key": "a&b=c d/e"}, query_parameter="token")
    request = authenticate_request(in_query, REQUEST, stamp=STAMP)
    assert (request.url, request.headers) == (f"{ORIGIN}/pay/1?a=%20b&token=a%26b%3Dc%20d%2Fe", {})
    bare = OutboundRequest("GET", f"{ORIGIN}/pay", None)
    assert authenticate_request(in_query, bare, stamp=STAMP).url.endswith(
        "/pay?token=a%26b%3Dc%20d%2Fe"
    )


def test_tokens_and_basic_authentication_go_into_authorization() -> None:
    assert headers_of(loaded("BEARER_TOKEN")) == {"Authorization": "Bearer bearer-0123456789"}
    scheme, _, pair = headers_of(loaded("BASIC_AUTH"))["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(pair).decode()) == ("Basic", "robot:pass word+/äé")
    token = Secret("fetched-token")
    assert headers_of(loaded("OAUTH2_CLIENT_CREDENTIALS"), token=token) == {
        "Authorization": "Bearer fetched-token"
    }


def test_custom_headers_are_sent_as_they_are() -> None:
    assert headers_of(loaded("CUSTOM_HEADERS")) == SECRETS["CUSTOM_HEADERS"]


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_signature_is_over_id_time_method_path_and_body(algorithm: str) -> None:
    credential = loaded("HMAC_SIGNATURE", algorithm=algorithm, key_name="k1")
    text = "\n".join(
        (
            "0123456789abcdef",
            "1772625600",
            "POST",
            "/pay/1?a=%20b",
            hashlib.new(algorithm, b'{"amount":5}').hexdigest(),
        )
    )
    assert canonical_text(REQUEST, STAMP, algorithm=algorithm) == text
    expected = hmac.new(b"signing-key-0123456789", text.encode(), algorithm).hexdigest()
    assert headers_of(credential) == {
        "X-Signature-Id": "0123456789abcdef",
        "X-Signature-Timestamp": "1772625600",
        "X-Signature": expected,
        "X-Signature-Key": "k1",
    }


def test_the_names_of_the_signature_headers_can_be_chosen() -> None:
    names: dict[str, Any] = {"id_header": "Webhook-Id", "timestamp_header": "Webhook-Timestamp"}
    headers = headers_of(loaded("HMAC_SIGNATURE", signature_header="Webhook-Signature", **names))
    assert set(headers) == {"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"}


@pytest.mark.parametrize(
    "change",
    [{"method": "PUT"}, {"url": f"{ORIGIN}/pay/2?a=%20b"}, {"url": f"{ORIGIN}/pay/1"},
     {"body": b"{}"}, {"body": None}],
)  # fmt: skip
def test_any_change_of_the_request_changes_what_is_signed(change: dict[str, Any]) -> None:
    other = OutboundRequest(
        **{"method": REQUEST.method, "url": REQUEST.url, "body": REQUEST.body, **change}
    )
    texts = {canonical_text(each, STAMP, algorithm="sha256") for each in (REQUEST, other)}
    assert len(texts) == 2


# --- Where it may go ---


@pytest.mark.parametrize(
    "url",
    ["https://api.example.org.evil.org/", "http://api.example.org/", "https://example.org/",
     "https://api.example.org:8443/", "https://api.example.org@evil.org/"],
)  # fmt: skip
def test_a_credential_is_not_sent_to_another_origin(url: str) -> None:
    with pytest.raises(CredentialError, match="none of its allowed origins") as caught:
        check_usable(loaded("API_KEY"), url, now=NOW)
    assert caught.value.permanent
    assert caught.value.details["credential"] == "billing"


def test_case_and_default_port_do_not_make_another_origin() -> None:
    for url in ("https://API.example.org/x", "https://api.example.org:443/"):
        check_usable(loaded("API_KEY"), url, now=NOW)


def test_ended_and_broken_credentials_are_not_sent() -> None:
    ended = replace(loaded("API_KEY"), expires_at=NOW)
    with pytest.raises(CredentialError, match="expired on 2026-03-04 12:00 UTC"):
        check_usable(ended, ORIGIN, now=NOW)
    check_usable(ended, ORIGIN, now=NOW - timedelta(seconds=1))
    with pytest.raises(CredentialError, match="It is damaged"):
        check_usable(replace(ended, problem="It is damaged."), ORIGIN, now=NOW)
    plain = replace(loaded("API_KEY"), type="CLIENT_CERTIFICATE", origins=frozenset({"http://a"}))
    with pytest.raises(CredentialError, match="needs https"):
        check_usable(plain, "http://a/x", now=NOW)


# --- Masking ---

HARD = 'p%s "q"\\/+&=<ä>-0123456789'


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_a_secret_is_found_in_every_form_that_answers_repeat_it_in(before: str) -> None:
    mask = Mask([Secret(HARD)])
    text = before + HARD
    raw = text.encode()
    forms = [
        text, json.dumps(text), html.escape(text), quote(text), quote(text, safe=""),
        quote_plus(text), base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode(),
        quote(base64.b64encode(raw).decode(), safe=""), f"x{text}y",
        json.dumps(text).replace("/", "\\/"), raw.hex(), raw.hex().upper(),
    ]  # fmt: skip
    core = "0123456789"
    core64 = base64.b64encode(
        b"\0" * ((len(before.encode()) + len(HARD.encode()) - 10) % 3) + core.encode()
    )
    for form in forms:
        shown = mask.text(f"said {form} again")
        assert core not in shown
        assert core64.decode()[4:10] not in shown
        assert shown.startswith("said ")
        assert shown.endswith(" again")


def test_masking_reaches_every_place_of_a_document_and_nothing_else() -> None:
    mask = Mask([Secret("hunter2-hunter2"), Secret("test")])
    document = {
        "a": ["x hunter2-hunter2", {"hunter2-hunter2": 1}],
        "latest": "latest test",
        "n": 7,
        "yes": True,
        "none": None,
    }
    assert mask.value(document) == {
        "a": ["x ***", {"***": 1}],
        "latest": "latest ***",
        "n": 7,
        "yes": True,
        "none": None,
    }


def test_a_secret_of_digits_is_masked_where_it_is_repeated_as_a_number() -> None:
    mask = Mask([Secret("4711"), Secret("1234567890")])
    document = [4711, 47110, 1234567890, 9123456789012345678901, 0.4711, "NDcxMQ==", "34373131"]
    assert mask.value(document) == ["***", 47110, "***", "***", "***", "***", "***"]


def test_no_secrets_mask_nothing() -> None:
    assert Mask().value({"a": "b"}) == {"a": "b"}
    assert Mask([Secret("")]).text("abc") == "abc"


@given(st.text(min_size=8, max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_no_text_around_a_secret_hides_it(secret: str, before: str, after: str) -> None:
    try:
        (secret + before + after).encode()
    except UnicodeEncodeError:
        return
    assert secret not in Mask([Secret(secret)]).text(before + secret + after) or secret in "***"


def test_the_mask_of_a_credential_covers_all_that_is_sent() -> None:
    for type in SECRETS:
        credential = loaded(type)
        token = Secret("the-fetched-token") if type.startswith("OAUTH2") else None
        request = authenticate_request(credential, REQUEST, stamp=STAMP, token=token)
        mask = Mask(secrets_of(credential, token))
        shown = mask.text(" ".join([request.url, *request.headers.values()]))
        for value in SECRETS[type].values():
            assert value not in shown
        assert "the-fetched-token" not in shown
        if type == "BASIC_AUTH":
            assert request.headers["Authorization"].split()[1] not in shown
    assert "0123456789" not in repr(Mask([Secret("0123456789")]))


# --- Tokens ---


def token_answer(**fields: Any) -> bytes:
    return json.dumps({"access_token": "abc", "token_type": "Bearer", **fields}).encode()


def test_a_token_request_says_who_asks_in_the_way_it_is_told() -> None:
    asked = token_request(loaded("OAUTH2_CLIENT_CREDENTIALS", scopes="a b", audience="x"))
    assert asked.form == {"grant_type": "client_credentials", "scope": "a b", "audience": "x"}
    pair = base64.b64decode(asked.headers["Authorization"].removeprefix("Basic ")).decode()
    assert pair == "hub:client+secret%2F%26%3D"  # form-encoded first: RFC 6749, 2.3.1
    body = token_request(loaded("OAUTH2_CLIENT_CREDENTIALS", client_authentication="body"))
    assert body.form["client_secret"] == "client secret/&="
    assert "Authorization" not in body.headers
    assert "client secret" not in repr(body)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [({}, 300.0), ({"expires_in": 60}, 60.0), ({"expires_in": "90"}, 90.0),
     ({"expires_in": 10**12}, 30 * 86400.0), ({"token_type": "bearer"}, 300.0)],
)  # fmt: skip
def test_usable_tokens_are_read(fields: dict[str, Any], seconds: float) -> None:
    found = read_token(loaded("OAUTH2_CLIENT_CREDENTIALS"), 200, token_answer(**fields), str)
    assert (found.token.reveal(), found.lifetime_seconds) == ("abc", seconds)


@pytest.mark.parametrize(
    ("status", "body", "sentence", "permanent"),
    [
        (200, b"<html>", "no access_token", True),
        (200, b"[]", "no access_token", True),
        (200, token_answer(access_token="a b"), "no access_token", True),
        (200, token_answer(access_token=7), "no access_token", True),
        (200, token_answer(token_type="mac"), "token_type is not Bearer", True),
        (200, token_answer(expires_in="soon"), "expires_in is no number", True),
        (200, token_answer(expires_in=-5), "expires_in is no number", True),
        (401, b'{"error": "invalid_client"}', "answered 401: invalid_client", True),
        (400, b'{"error": "a", "error_description": "b"}', "answered 400: a: b", True),
        (302, b"", "answered 302", False),
        (429, b"", "answered 429", False),
        (500, b"oops", "answered 500", False),
    ],
)
def test_unusable_answers_say_what_is_wrong(
    status: int, body: bytes, sentence: str, permanent: bool
) -> None:
    with pytest.raises(CredentialError, match=sentence) as caught:
        read_token(loaded("OAUTH2_CLIENT_CREDENTIALS"), status, body, str)
    assert caught.value.permanent is permanent
    assert isinstance(caught.value, TokenUnavailableError) is not permanent


def test_a_token_server_that_repeats_the_secret_is_not_quoted() -> None:
    credential = loaded("OAUTH2_CLIENT_CREDENTIALS")
    body = json.dumps({"error": "bad", "error_description": "secret was client secret/&="}).encode()
    with pytest.raises(CredentialError) as caught:
        read_token(credential, 401, body, Mask(secrets_of(credential)).text)
    assert "client secret" not in str(caught.value)
    assert "***" in str(caught.value)
