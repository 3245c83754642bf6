"""Puts a credential on a request: its headers, query parameter or signature (pure)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlsplit

from django.views.decorators.debug import sensitive_variables

from core.vault import Secret
from registry.calls.auth.loaded_credential import LoadedCredential
from registry.calls.request import OutboundRequest
from registry.credentials.origins import origin_of
from registry.exceptions import CredentialError
from registry.models import CredentialType


@dataclass(frozen=True, slots=True)
class RequestStamp:
    """The time of a request in Unix seconds, and an id that no other has."""

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
        allowed = ", ".join(sorted(credential.origins)) or "none"
        problem = f"It is not sent to {origin}, which is none of its allowed origins ({allowed})."
    is_certificate = credential.type == CredentialType.CLIENT_CERTIFICATE
    if not problem and is_certificate and origin.startswith("http://"):
        problem = f"A client certificate needs https, and this is {origin}."
    if problem:
        raise CredentialError(
            f"The credential '{credential.name}' cannot be used. {problem}",
            credential=credential.name,
        )


Scheme = Callable[[LoadedCredential, OutboundRequest, RequestStamp], OutboundRequest]


@sensitive_variables()
def authenticate_request(
    credential: LoadedCredential,
    request: OutboundRequest,
    *,
    stamp: RequestStamp,
    token: Secret | None = None,
) -> OutboundRequest:
    """Return the request with what the credential adds to its URL and headers."""
    if token is not None:
        return _with_bearer(request, token)
    scheme = _SCHEMES.get(credential.type)
    return scheme(credential, request, stamp) if scheme else request


def _with_headers(request: OutboundRequest, added: Mapping[str, str]) -> OutboundRequest:
    """Return the request with these headers in place of its own of the same name."""
    names = {name.lower() for name in added}
    kept = {name: value for name, value in request.headers.items() if name.lower() not in names}
    return request._replace(headers={**kept, **added})


def _with_bearer(request: OutboundRequest, token: Secret) -> OutboundRequest:
    return _with_headers(request, {"Authorization": f"Bearer {token.reveal()}"})


@sensitive_variables()
def _api_key(
    credential: LoadedCredential, request: OutboundRequest, _: RequestStamp
) -> OutboundRequest:
    key = credential.secret["key"].reveal()
    parameter = credential.attributes.get("query_parameter")
    if not parameter:
        return _with_headers(request, {credential.attributes.get("header") or "X-API-Key": key})
    mark = "&" if urlsplit(request.url).query else "?"
    return request._replace(url=f"{request.url}{mark}{parameter}={quote(key, safe='')}")


def _bearer(
    credential: LoadedCredential, request: OutboundRequest, _: RequestStamp
) -> OutboundRequest:
    return _with_bearer(request, credential.secret["token"])


@sensitive_variables()
def _basic(
    credential: LoadedCredential, request: OutboundRequest, _: RequestStamp
) -> OutboundRequest:
    pair = basic_pair(credential.attributes["username"], credential.secret["password"])
    return _with_headers(request, {"Authorization": f"Basic {pair.reveal()}"})


def basic_pair(username: str, password: Secret) -> Secret:
    """Return user name and password as Basic authentication sends them (RFC 7617, in UTF-8)."""
    return Secret(base64.b64encode(f"{username}:{password.reveal()}".encode()).decode())


def _custom_headers(
    credential: LoadedCredential, request: OutboundRequest, _: RequestStamp
) -> OutboundRequest:
    return _with_headers(request, {n: value.reveal() for n, value in credential.secret.items()})


@sensitive_variables("key")
def _signature(
    credential: LoadedCredential, request: OutboundRequest, stamp: RequestStamp
) -> OutboundRequest:
    attributes = credential.attributes
    key = credential.secret["key"].reveal().encode()
    text = canonical_text(request, stamp, algorithm=attributes["algorithm"])
    headers = {
        attributes["id_header"]: stamp.id,
        attributes["timestamp_header"]: str(stamp.seconds),
        attributes["signature_header"]: hmac.new(
            key, text.encode(), attributes["algorithm"]
        ).hexdigest(),
    }
    if attributes.get("key_name"):
        headers[attributes["key_header"]] = attributes["key_name"]
    return _with_headers(request, headers)


def canonical_text(request: OutboundRequest, stamp: RequestStamp, *, algorithm: str) -> str:
    """Return what a signature is over: id, time, method, path with query, the body's hash.

    One each line, joined by line feeds without one at the end. The hash is hexadecimal, by the same
    algorithm, of the empty text where there is no body.
    """
    parts = urlsplit(request.url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    digest = hashlib.new(algorithm, request.body or b"").hexdigest()
    return "\n".join((stamp.id, str(stamp.seconds), request.method, path, digest))


_SCHEMES: Mapping[str, Scheme] = {
    CredentialType.API_KEY: _api_key,
    CredentialType.BEARER_TOKEN: _bearer,
    CredentialType.BASIC_AUTH: _basic,
    CredentialType.CUSTOM_HEADERS: _custom_headers,
    CredentialType.HMAC_SIGNATURE: _signature,
}


@sensitive_variables()
def secrets_of(credential: LoadedCredential, token: Secret | None = None) -> list[Secret]:
    """Return everything of a credential that must not be in what a call answers."""
    secrets = list(credential.secret.values())
    if credential.type == CredentialType.BASIC_AUTH:
        username = credential.attributes["username"]
        secrets.append(basic_pair(username, credential.secret["password"]))
    return [*secrets, token] if token is not None else secrets
