"""The types of credentials: their public attributes and their secret fields (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.views.decorators.debug import sensitive_variables

from core.exceptions import ValidationFailed
from core.vault import Secret
from registry.credentials import config_checks
from registry.credentials.certificates import (
    certificates,
    expiry_of,
    key_problem,
    private_key,
)
from registry.models import CredentialType
from registry.policies.type_parts import Part, check_parts

MOST_HEADERS = 20


@dataclass(frozen=True, slots=True)
class CredentialTypeSpec:
    """A type's public attributes and secret fields.

    With `headers`, every secret field is the name of a header and its value.
    """

    attributes: tuple[Part, ...] = ()
    secrets: tuple[Part, ...] = ()
    headers: bool = False


_ALGORITHMS = ("sha256", "sha512")
TYPE_SPECS: Mapping[str, CredentialTypeSpec] = {
    CredentialType.API_KEY: CredentialTypeSpec(
        attributes=(
            Part("header", "Header", config_checks.header_name, "X-API-Key unless told otherwise."),
            Part(
                "query_parameter",
                "Query parameter",
                config_checks.parameter_name,
                "Instead of a header. Servers often log it: use a header where there is a choice.",
            ),
        ),
        secrets=(Part("key", "Key", config_checks.sent_secret, required=True),),
    ),
    CredentialType.BEARER_TOKEN: CredentialTypeSpec(
        secrets=(Part("token", "Token", config_checks.sent_secret, required=True),),
    ),
    CredentialType.BASIC_AUTH: CredentialTypeSpec(
        attributes=(Part("username", "User name", config_checks.user_name, required=True),),
        secrets=(Part("password", "Password", config_checks.any_secret, required=True),),
    ),
    CredentialType.OAUTH2_CLIENT_CREDENTIALS: CredentialTypeSpec(
        attributes=(
            Part(
                "token_url",
                "Token URL",
                config_checks.url,
                "Where tokens are fetched.",
                required=True,
            ),
            Part("client_id", "Client id", config_checks.public_text, required=True),
            Part("scopes", "Scopes", config_checks.scopes, "Separated by blanks.", default=[]),
            Part(
                "audience", "Audience", config_checks.public_text, "Where the server asks for one."
            ),
            Part(
                "client_authentication",
                "Client authentication",
                config_checks.choice("basic", "body"),
                "How the client's own secret is sent to the token URL.",
                default="basic",
                choices=("basic", "body"),
            ),
        ),
        secrets=(Part("client_secret", "Client secret", config_checks.made_secret, required=True),),
    ),
    CredentialType.HMAC_SIGNATURE: CredentialTypeSpec(
        attributes=(
            Part(
                "key_name", "Key name", config_checks.public_text, "Tells the receiver which key."
            ),
            Part(
                "algorithm",
                "Algorithm",
                config_checks.choice(*_ALGORITHMS),
                default="sha256",
                choices=_ALGORITHMS,
            ),
            Part("id_header", "Id header", config_checks.header_name, default="X-Signature-Id"),
            Part(
                "timestamp_header",
                "Timestamp header",
                config_checks.header_name,
                default="X-Signature-Timestamp",
            ),
            Part(
                "signature_header",
                "Signature header",
                config_checks.header_name,
                default="X-Signature",
            ),
            Part(
                "key_header",
                "Key name header",
                config_checks.header_name,
                default="X-Signature-Key",
            ),
        ),
        secrets=(Part("key", "Signing key", config_checks.signing_key, required=True),),
    ),
    CredentialType.CLIENT_CERTIFICATE: CredentialTypeSpec(
        attributes=(
            Part(
                "certificate",
                "Certificate",
                certificates,
                "PEM, with the certificates in between.",
                required=True,
                long=True,
            ),
            Part(
                "ca",
                "Authorities",
                certificates,
                "PEM of who signs the servers' certificates. Empty: those of the system.",
                long=True,
            ),
        ),
        secrets=(
            Part("private_key", "Private key", private_key, "PEM.", required=True, long=True),
            Part("passphrase", "Passphrase", config_checks.any_secret, "Of an encrypted key."),
        ),
    ),
    CredentialType.CUSTOM_HEADERS: CredentialTypeSpec(headers=True),
}


def check_attributes(type: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the public attributes of a credential as they are kept, with the defaults.

    Raises:
        ValidationFailed: by paths such as `attributes.token_url`.
    """
    errors: dict[str, list[str]] = {}
    kept = check_parts(TYPE_SPECS[type].attributes, values, "attributes", errors)
    if kept.get("header") and kept.get("query_parameter"):
        errors["attributes.query_parameter"] = ["Give a header or a query parameter, not both."]
    _refuse_twins(type, kept, errors)
    if errors:
        raise ValidationFailed.by_path(errors)
    return kept


def _refuse_twins(type: str, kept: Mapping[str, Any], errors: dict[str, list[str]]) -> None:
    if type != CredentialType.HMAC_SIGNATURE:
        return
    names = [str(kept.get(part.name, "")).lower() for part in TYPE_SPECS[type].attributes[2:]]
    if len(set(names)) < len(names):
        errors["attributes.signature_header"] = ["The four headers must have different names."]


@sensitive_variables()
def check_secret(
    type: str, values: Mapping[str, Any], attributes: Mapping[str, Any]
) -> dict[str, Secret]:
    """Return the secret fields of a credential as they are kept.

    Raises:
        ValidationFailed: by paths such as `secret.password`; the sentences hold no value.
    """
    errors: dict[str, list[str]] = {}
    kind = TYPE_SPECS[type]
    plain = {k: v.reveal() if isinstance(v, Secret) else v for k, v in values.items()}
    if kind.headers:
        kept = _check_headers(plain, errors)
    else:
        kept = check_parts(kind.secrets, plain, "secret", errors, tells_names=False)
    if errors:
        raise ValidationFailed.by_path(errors)
    hidden = {name: Secret(value) for name, value in kept.items()}
    check_together(type, attributes, hidden)
    return hidden


@sensitive_variables()
def check_together(type: str, attributes: Mapping[str, Any], secret: Mapping[str, Secret]) -> None:
    """Refuse a private key that is not the certificate's. Raises: ValidationFailed."""
    if type != CredentialType.CLIENT_CERTIFICATE:
        return
    passphrase = secret["passphrase"].reveal() if "passphrase" in secret else ""
    problem = key_problem(attributes["certificate"], secret["private_key"].reveal(), passphrase)
    if problem:
        raise ValidationFailed.at(f"secret.{problem[0]}", problem[1])


@sensitive_variables()
def _check_headers(values: Mapping[str, Any], errors: dict[str, list[str]]) -> dict[str, str]:
    if not 0 < len(values) <= MOST_HEADERS:
        errors["secret"] = [f"Give 1 to {MOST_HEADERS} headers with their values."]
        return {}
    kept: dict[str, str] = {}
    for name, value in values.items():
        try:
            kept[config_checks.header_name(name)] = config_checks.sent_secret(value)
        except ValueError as error:
            # A name that is none may be a value in the wrong place: it is not repeated.
            path = f"secret.{name}" if _is_header(name) else "secret"
            errors[path] = [str(error)]
    if not errors and len({name.lower() for name in kept}) < len(values):
        errors["secret"] = ["A header is there twice (names ignore case)."]
    return kept


def _is_header(name: object) -> bool:
    try:
        config_checks.header_name(name)
    except ValueError:
        return False
    return True


def natural_expiry(type: str, attributes: Mapping[str, Any]) -> datetime | None:
    """Return when a credential ends by itself, as the certificate of a CLIENT_CERTIFICATE says."""
    if type != CredentialType.CLIENT_CERTIFICATE:
        return None
    return expiry_of(attributes["certificate"])


def destinations(type: str, attributes: Mapping[str, Any], origins: list[str]) -> frozenset[str]:
    """Return where the secret may be sent: the origins, and the token URL as it is written."""
    token_url = attributes.get("token_url")
    is_oauth = type == CredentialType.OAUTH2_CLIENT_CREDENTIALS
    return frozenset(origins) | ({token_url} if is_oauth and token_url else frozenset())
