"""A credential on a request: the headers, the query or the signature that it adds (pure)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote, urlsplit

from django.views.decorators.debug import sensitive_variables

from core.vault import Secret
from registry.calls.auth.loaded_credential import LoadedCredential
from registry.calls.request import PreparedRequest
from registry.credentials.origins import origin_of
from registry.exceptions import CredentialError
from registry.models import CredentialType


@dataclass(frozen=True, slots=True)
class RequestStamp:
    """What is new with every request: Unix seconds and an id."""

    seconds: int
    id: str

    @classmethod
    def at(cls, seconds: float) -> RequestStamp:
        return cls(int(seconds), uuid.uuid4().hex)


def check_usable(credential: LoadedCredential, url: str, *, now: datetime) -> None:
    """Refuse to send a credential that is broken, has ended, or is not meant for this origin.

    Raises:
        CredentialError: with the reason; nothing was sent.
    """
    problem, origin = credential.problem, ""
    try:
        origin = origin_of(url, any_scheme=True)
    except ValueError as error:  # which does not repeat the URL: it may hold a password
        problem = problem or f"Where it would be sent is none of its allowed origins: {error}"
    if not problem and credential.expires_at is not None and credential.expires_at <= now:
        problem = f"It expired on {credential.expires_at:%Y-%m-%d %H:%M} UTC: rotate it."
    if not problem and origin not in credential.origins:
        known = ", ".join(sorted(credential.origins)) or "none"
        problem = f"It is not sent to {origin}, which is none of its allowed origins ({known})."
    is_certificate = credential.type == CredentialType.CLIENT_CERTIFICATE
    if not problem and is_certificate and origin.startswith("http://"):
        problem = f"A client certificate needs https, and this is {origin}."
    if problem:
        raise CredentialError(
            f"The credential '{credential.name}' cannot be used. {problem}",
            credential=credential.name,
        )


Scheme = Callable[
    [LoadedCredential, PreparedRequest, RequestStamp], tuple[PreparedRequest, dict[str, str]]
]


@sensitive_variables()
def authenticate_request(
    credential: LoadedCredential,
    request: PreparedRequest,
    *,
    moment: RequestStamp,
    token: Secret | None = None,
) -> tuple[PreparedRequest, dict[str, str]]:
    """The request with what the credential adds to its URL, and the headers that it adds."""
    if token is not None:
        return request, {"Authorization": f"Bearer {token.reveal()}"}
    make = _SCHEMES.get(credential.type)
    return make(credential, request, moment) if make else (request, {})


@sensitive_variables()
def _api_key(
    credential: LoadedCredential, request: PreparedRequest, _: RequestStamp
) -> tuple[PreparedRequest, dict[str, str]]:
    key = credential.secret["key"].reveal()
    parameter = credential.attributes.get("query_parameter")
    if not parameter:
        return request, {credential.attributes.get("header") or "X-API-Key": key}
    mark = "&" if urlsplit(request.url).query else "?"
    url = f"{request.url}{mark}{parameter}={quote(key, safe='')}"
    return replace(request, url=url), {}


@sensitive_variables()
def _bearer(
    credential: LoadedCredential, request: PreparedRequest, _: RequestStamp
) -> tuple[PreparedRequest, dict[str, str]]:
    return request, {"Authorization": f"Bearer {credential.secret['token'].reveal()}"}


@sensitive_variables()
def _basic(
    credential: LoadedCredential, request: PreparedRequest, _: RequestStamp
) -> tuple[PreparedRequest, dict[str, str]]:
    pair = basic_pair(credential.attributes["username"], credential.secret["password"])
    return request, {"Authorization": f"Basic {pair.reveal()}"}


def basic_pair(username: str, password: Secret) -> Secret:
    """User name and password as Basic authentication sends them (RFC 7617, in UTF-8)."""
    return Secret(base64.b64encode(f"{username}:{password.reveal()}".encode()).decode())


def _custom_headers(
    credential: LoadedCredential, request: PreparedRequest, _: RequestStamp
) -> tuple[PreparedRequest, dict[str, str]]:
    return request, {name: value.reveal() for name, value in credential.secret.items()}


@sensitive_variables("key")
def _signature(
    credential: LoadedCredential, request: PreparedRequest, moment: RequestStamp
) -> tuple[PreparedRequest, dict[str, str]]:
    said = credential.attributes
    key = credential.secret["key"].reveal().encode()
    text = canonical_text(request, moment, algorithm=said["algorithm"])
    headers = {
        said["id_header"]: moment.id,
        said["timestamp_header"]: str(moment.seconds),
        said["signature_header"]: hmac.new(key, text.encode(), said["algorithm"]).hexdigest(),
    }
    if said.get("key_name"):
        headers[said["key_header"]] = said["key_name"]
    return request, headers


def canonical_text(request: PreparedRequest, moment: RequestStamp, *, algorithm: str) -> str:
    """What a signature is over: id, time, method, path with query, and the hash of the body.

    One each line, joined by line feeds without one at the end. The hash is hexadecimal, by the same
    algorithm, of the empty text where there is no body.
    """
    parts = urlsplit(request.url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    digest = hashlib.new(algorithm, request.body or b"").hexdigest()
    return "\n".join((moment.id, str(moment.seconds), request.method, path, digest))


_SCHEMES: Mapping[str, Scheme] = {
    CredentialType.API_KEY: _api_key,
    CredentialType.BEARER_TOKEN: _bearer,
    CredentialType.BASIC_AUTH: _basic,
    CredentialType.CUSTOM_HEADERS: _custom_headers,
    CredentialType.HMAC_SIGNATURE: _signature,
}


@sensitive_variables()
def secrets_of(credential: LoadedCredential, token: Secret | None = None) -> list[Secret]:
    """Everything of a credential that must not be in what a call answers."""
    found = list(credential.secret.values())
    if credential.type == CredentialType.BASIC_AUTH:
        username = credential.attributes["username"]
        found.append(basic_pair(username, credential.secret["password"]))
    return [*found, token] if token is not None else found
