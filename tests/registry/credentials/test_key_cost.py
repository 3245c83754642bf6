"""Private keys that take long to open are refused unopened."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from core.exceptions import ValidationFailed
from registry.credentials.certificates import private_key
from registry.credentials.key_cost import check_rounds
from registry.credentials.type_specs import check_secret
from tests.support.credentials import make_certificate

PBKDF2, SCRYPT = "2A864886F70D01050C", "2B06010401DA47040B"
SEQUENCE, INTEGER, OCTETS, IDENTIFIER = 0x30, 0x02, 0x04, 0x06


def _der(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content


def encrypted(function: str, *numbers: int) -> str:
    """Return a key that says that its passphrase is stretched so."""
    integers = [_der(INTEGER, number.to_bytes(5, "big")) for number in numbers]
    stretching = _der(SEQUENCE, _der(OCTETS, b"salt"), *integers)
    algorithm = _der(SEQUENCE, _der(IDENTIFIER, bytes.fromhex(function)), stretching)
    return pem(_der(SEQUENCE, _der(SEQUENCE, algorithm), _der(OCTETS, bytes(64))))


def pem(body: bytes | str) -> str:
    text = body if isinstance(body, str) else base64.encodebytes(body).decode()
    label = "ENCRYPTED PRIVATE KEY"
    return f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n"


def test_what_openssl_writes_is_read() -> None:
    check_rounds(make_certificate("a").encrypted_key("open sesame"))
    check_rounds(encrypted(PBKDF2, 100_000, 32))
    check_rounds(encrypted(SCRYPT, 2**14, 8, 1))


@pytest.mark.parametrize(
    ("function", "numbers"),
    [
        (PBKDF2, (100_001,)),
        (PBKDF2, (2**31, 32)),
        (SCRYPT, (2**20, 8, 1)),
        (SCRYPT, (2**10, 64, 64)),
    ],
)
def test_many_rounds_are_refused_unopened(function: str, numbers: Any) -> None:
    said = {"certificate": make_certificate("a").certificate}
    secret = {"private_key": encrypted(function, *numbers), "passphrase": "open sesame"}
    with pytest.raises(ValidationFailed) as caught:
        check_secret("CLIENT_CERTIFICATE", secret, said)
    assert "100,000 times" in str(caught.value.errors["secret.private_key"])
    # Beside another block too.
    with pytest.raises(ValueError, match="100,000 times"):
        check_rounds(make_certificate("a").key + secret["private_key"])


@pytest.mark.parametrize("body", ["", "AAAA", "MIIB", "MIIB////", "no base64", "MP8A"])
def test_what_does_not_say_how_it_opens_is_refused(body: str) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        check_rounds(pem(body))


def test_deep_nesting_is_refused() -> None:
    der = _der(INTEGER, b"\1")
    for _ in range(50):
        der = _der(SEQUENCE, der)
    with pytest.raises(ValueError, match="cannot be read"):
        check_rounds(pem(der))


def test_a_key_of_many_bits_is_refused() -> None:
    long = make_certificate("a").key.replace("-----END", "A" * 8_192 + "\n-----END")
    with pytest.raises(ValueError, match="8192 bits"):
        private_key(long)
