"""Certificates and their keys (pure)."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from django.views.decorators.debug import sensitive_variables

from registry.credentials.config_checks import pem
from registry.credentials.key_cost import check_rounds

# A key of RSA with 8192 bits takes 6,500 characters; to check one of many more takes minutes.
LONGEST_KEY = 8192


def certificates(value: object) -> str:
    """Return the PEM text of one certificate or more.

    Raises:
        ValueError: it is not.
    """
    text = pem(value)
    _load(text)
    return text


def expiry_of(text: str) -> datetime:
    """Return when the first of the certificates ends."""
    return _load(text)[0].not_valid_after_utc


@sensitive_variables()
def private_key(value: object) -> str:
    """Return the PEM text of a private key that is opened soon.

    Raises:
        ValueError: it is none, or too large, or takes long to open.
    """
    text = pem(value)
    if len(text) > LONGEST_KEY:
        raise ValueError(
            f"Must have at most {LONGEST_KEY:,} characters, as RSA with 8192 bits has."
        )
    check_rounds(text)
    return text


@sensitive_variables()
def key_problem(certificate: str, private_key: str, passphrase: str) -> tuple[str, str] | None:
    """Return what is wrong between a certificate and its key: the secret field and a sentence."""
    try:
        key = load_pem_private_key(private_key.encode(), passphrase.encode() or None)
    except TypeError:
        return "passphrase", (
            "The private key is not encrypted: leave this out."
            if passphrase
            else "The private key is encrypted: give its passphrase."
        )
    except (ValueError, UnsupportedAlgorithm):
        return "private_key", "The key cannot be read: is it PEM, and the passphrase right?"
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*spki) != _load(certificate)[0].public_key().public_bytes(
        *spki
    ):
        return "private_key", "This is not the key of the certificate."
    return None


def _load(text: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise ValueError("The certificate cannot be read. Give it as PEM.") from None
