"""What each type of credential consists of, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.exceptions import ValidationFailed
from registry.credentials.health import warning_due
from registry.credentials.origins import is_clear_text, origin_of, parse_origin
from registry.credentials.type_specs import (
    TYPE_SPECS,
    check_attributes,
    check_secret,
    destinations,
    natural_expiry,
)
from registry.models import CredentialType
from tests.support.credentials import fields_of, make_certificate


def test_every_type_has_a_kind() -> None:
    assert set(TYPE_SPECS) == set(CredentialType.values)


@pytest.mark.parametrize("type", CredentialType.values)
def test_every_type_takes_what_it_consists_of(type: str) -> None:
    fields = fields_of(type)
    attributes = check_attributes(type, fields["attributes"])
    held = check_secret(type, fields["secret"], attributes)
    assert all(str(value) == "***" for value in held.values())
    assert set(held) == set(fields["secret"])


@pytest.mark.parametrize("type", CredentialType.values)
def test_every_type_refuses_unknown_and_missing_parts(type: str) -> None:
    fields = fields_of(type)
    with pytest.raises(ValidationFailed) as unknown:
        check_attributes(type, {**fields["attributes"], "colour": "red"})
    assert "no such part" in str(unknown.value.errors["attributes.colour"])
    with pytest.raises(ValidationFailed) as missing:
        check_secret(type, {}, fields["attributes"])
    assert all(path.startswith("secret") for path in missing.value.errors)


def test_defaults_are_filled_in() -> None:
    assert check_attributes("HMAC_SIGNATURE", {}) == {
        "algorithm": "sha256",
        "id_header": "X-Signature-Id",
        "timestamp_header": "X-Signature-Timestamp",
        "signature_header": "X-Signature",
        "key_header": "X-Signature-Key",
    }
    kept = check_attributes(
        "OAUTH2_CLIENT_CREDENTIALS",
        {"token_url": "https://a/t", "client_id": "x", "scopes": "a b a"},
    )
    assert kept["scopes"] == ["a", "b"]
    assert kept["client_authentication"] == "basic"


@pytest.mark.parametrize(
    ("type", "attributes", "path"),
    [
        ("API_KEY", {"header": "X Key"}, "attributes.header"),
        ("API_KEY", {"header": "Host"}, "attributes.header"),
        ("API_KEY", {"header": 7}, "attributes.header"),
        ("API_KEY", {"query_parameter": "a&b"}, "attributes.query_parameter"),
        ("API_KEY", {"header": "X", "query_parameter": "a"}, "attributes.query_parameter"),
        ("BASIC_AUTH", {}, "attributes.username"),
        ("BASIC_AUTH", {"username": "a:b"}, "attributes.username"),
        ("OAUTH2_CLIENT_CREDENTIALS", {"client_id": "x"}, "attributes.token_url"),
        (
            "OAUTH2_CLIENT_CREDENTIALS",
            {"client_id": "x", "token_url": "ftp://a"},
            "attributes.token_url",
        ),
        (
            "OAUTH2_CLIENT_CREDENTIALS",
            {"client_id": "x", "token_url": "https://user@a/t"},
            "attributes.token_url",
        ),
        (
            "OAUTH2_CLIENT_CREDENTIALS",
            {"client_id": "x", "token_url": "https://a", "scopes": ['a"b']},
            "attributes.scopes",
        ),
        ("HMAC_SIGNATURE", {"algorithm": "md5"}, "attributes.algorithm"),
        ("HMAC_SIGNATURE", {"id_header": "x-signature"}, "attributes.signature_header"),
        ("CLIENT_CERTIFICATE", {"certificate": "hello"}, "attributes.certificate"),
        (
            "CLIENT_CERTIFICATE",
            {"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"},
            "attributes.certificate",
        ),
    ],
)
def test_wrong_attributes_are_named(type: str, attributes: dict[str, Any], path: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        check_attributes(type, attributes)
    assert path in caught.value.errors


@pytest.mark.parametrize(
    "value", ["abc", "x" * 9000, "line\nbreak", "nul\x00nul", " padded ", "ünïcode", 7]
)
def test_a_token_that_no_header_can_carry_is_refused_without_showing_it(value: Any) -> None:
    with pytest.raises(ValidationFailed) as caught:
        check_secret("BEARER_TOKEN", {"token": value}, {})
    assert list(caught.value.errors) == ["secret.token"]
    assert str(value) not in str(caught.value.errors)


@pytest.mark.parametrize(
    "given", [{}, {"X-A": "abc"}, {"Host": "abcd"}, {"X-A": "abcd", "x-a": "abcd"}, {"a b": "abcd"}]
)
def test_headers_that_cannot_be_sent_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValidationFailed) as caught:
        check_secret("CUSTOM_HEADERS", given, {})
    assert "abcd" not in str(caught.value.errors.values())


# What a person may have chosen, with a blank at an end; PEM is taken out of what is around it.
MAY_END_WITH_BLANKS = {"password", "private_key", "passphrase"}
MADE = [
    (type, part.name)
    for type, kind in TYPE_SPECS.items()
    for part in kind.secrets
    if part.name not in MAY_END_WITH_BLANKS
]


@pytest.mark.parametrize("form", [" {}", "{} ", "\u00a0{}", "{}\u200b", "\ufeff{}"])
@pytest.mark.parametrize(("type", "name"), MADE)
def test_what_a_machine_made_has_no_blank_at_its_ends(type: str, name: str, form: str) -> None:
    fields = fields_of(type)
    fields["secret"] = {**fields["secret"], name: form.format("whsec_cGxhaW4gdGV4dA==")}
    with pytest.raises(ValidationFailed) as caught:
        check_secret(type, fields["secret"], check_attributes(type, fields["attributes"]))
    assert list(caught.value.errors) == [f"secret.{name}"]
    assert "blank" in str(caught.value.errors)
    assert "whsec_cG" not in str(caught.value.errors)


@pytest.mark.parametrize("prefix", ["WHSEC_", "Whsec_", "whSec_"])
def test_the_prefix_of_a_signing_key_is_in_small_letters(prefix: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        check_secret("HMAC_SIGNATURE", {"key": f"{prefix}cGxhaW4gdGV4dA=="}, {})
    assert "Write whsec_ in small letters" in caught.value.errors["secret.key"][0]


def test_a_certificate_needs_its_own_key_and_passphrase() -> None:
    pair, other = make_certificate("a"), make_certificate("b")
    said = {"certificate": pair.certificate}
    locked = pair.encrypted_key("open sesame")
    check_secret("CLIENT_CERTIFICATE", {"private_key": locked, "passphrase": "open sesame"}, said)
    for secret, path in (
        ({"private_key": other.key}, "secret.private_key"),
        ({"private_key": locked}, "secret.passphrase"),
        ({"private_key": locked, "passphrase": "wrong word"}, "secret.private_key"),
        ({"private_key": pair.key, "passphrase": "not needed"}, "secret.passphrase"),
        ({"private_key": pair.certificate}, "secret.private_key"),
    ):
        with pytest.raises(ValidationFailed) as caught:
            check_secret("CLIENT_CERTIFICATE", secret, said)
        assert list(caught.value.errors) == [path]


def test_a_certificate_says_when_it_ends() -> None:
    pair = make_certificate("a", days=20)
    end = natural_expiry("CLIENT_CERTIFICATE", {"certificate": pair.certificate})
    assert end is not None
    assert abs(end - datetime.now(UTC) - timedelta(days=20)) < timedelta(minutes=5)
    assert natural_expiry("API_KEY", {}) is None


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://API.Example.org", "https://api.example.org"),
        ("https://api.example.org:443/", "https://api.example.org"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("HTTP://a:80", "http://a"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("https://a.:443", "https://a"),
        ("https://Bücher.example", "https://xn--bcher-kva.example"),
        ("https://[0:0::1]", "https://[::1]"),
        ("POSTGRESQL://DB:5432", "postgresql://db"),
    ],
)
def test_origins_are_kept_in_one_form(text: str, kept: str) -> None:
    assert parse_origin(text) == kept


@pytest.mark.parametrize(
    "text",
    ["", "api.example.org", "https://", "https://a/path", "https://u@a", "ftp://a", "https://a:0",
     "https://a:99999", "https://a?x=1", "https://a b", "https://a..b", "https://127.1",
     "https://*", None, 7],
)  # fmt: skip
def test_what_is_no_origin_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_origin(text)


def test_the_origin_of_a_url_is_not_fooled() -> None:
    with pytest.raises(ValueError, match="without user name"):
        origin_of("https://api.example.org@evil.org/")
    assert origin_of("https://api.example.org.evil.org") != "https://api.example.org"
    assert origin_of("https://api.example.org:8443/x") == "https://api.example.org:8443"


def test_clear_text_is_plain_http_to_another_machine() -> None:
    assert is_clear_text("http://billing:8000")
    for origin in ("https://billing", "http://localhost:1", "http://127.0.0.1", "http://[::1]:1"):
        assert not is_clear_text(origin)


def test_destinations_of_oauth2_include_the_token_url() -> None:
    said = {"token_url": "https://a/t"}
    assert destinations("OAUTH2_CLIENT_CREDENTIALS", said, ["https://b"]) == {
        "https://b",
        "https://a/t",
    }
    assert destinations("API_KEY", {}, ["https://b"]) == {"https://b"}


NOW = datetime(2026, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days", "warned", "due"),
    [
        (31, None, None), (30, None, 30), (30, 30, None), (8, 30, None), (7, 30, 7), (7, 7, None),
        (3, None, 7), (1, 7, 1), (0, 1, 0), (-5, 0, None), (-5, None, 0), (20, 0, None),
    ],
)  # fmt: skip
def test_each_limit_is_told_once_and_the_nearest_one(
    days: int, warned: int | None, due: int | None
) -> None:
    assert warning_due(NOW + timedelta(days=days), warned, now=NOW) == due
