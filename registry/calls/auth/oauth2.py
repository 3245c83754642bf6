"""Writes and reads the client credentials grant of OAuth 2.0 (RFC 6749, section 4.4) (pure)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote_plus

from django.views.decorators.debug import sensitive_variables

from core.json import strict
from core.vault import Secret
from registry.calls.auth.loaded_credential import LoadedCredential
from registry.calls.auth.signing import basic_pair
from registry.exceptions import CredentialError, TokenUnavailableError

# Where the server does not say how long a token holds.
DEFAULT_LIFETIME_SECONDS = 300.0
LONGEST_LIFETIME_SECONDS = 30 * 86400.0
_VISIBLE = re.compile(r"[\x21-\x7e]{1,8192}\Z")


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A form for the token endpoint, and the headers it goes with."""

    url: str
    form: dict[str, str]
    headers: dict[str, str]

    def __repr__(self) -> str:
        return f"TokenRequest({self.url!r})"


@dataclass(frozen=True, slots=True)
class FetchedToken:
    """A token, and how many seconds it holds."""

    token: Secret
    lifetime_seconds: float


@sensitive_variables()
def token_request(credential: LoadedCredential) -> TokenRequest:
    """Return the request for a token; the client authenticates as section 2.3.1 has it."""
    attributes, secret = credential.attributes, credential.secret["client_secret"]
    form = {"grant_type": "client_credentials"}
    if attributes.get("scopes"):
        form["scope"] = " ".join(attributes["scopes"])
    if attributes.get("audience"):
        form["audience"] = attributes["audience"]
    headers = {"Accept": "application/json"}
    if attributes["client_authentication"] == "body":
        form |= {"client_id": attributes["client_id"], "client_secret": secret.reveal()}
    else:
        encoded = Secret(quote_plus(secret.reveal()))
        pair = basic_pair(quote_plus(attributes["client_id"]), encoded)
        headers["Authorization"] = f"Basic {pair.reveal()}"
    return TokenRequest(attributes["token_url"], form, headers)


@sensitive_variables()
def read_token(
    credential: LoadedCredential, status: int, body: bytes, mask: Callable[[str], str]
) -> FetchedToken:
    """Return the token of an answer.

    Raises:
        CredentialError: the server refuses the client, or its answer is no token.
        TokenUnavailableError: it cannot answer now.
    """
    try:
        document = strict.parse(body)
    except strict.JSONRefused:
        document = None
    document = document if isinstance(document, dict) else {}
    if status != 200:
        raise _refusal(credential, status, document, mask)
    token, kind = document.get("access_token"), document.get("token_type")
    if not isinstance(token, str) or not _VISIBLE.match(token):
        raise _unusable(credential, "it has no access_token that can be sent")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise _unusable(credential, "its token_type is not Bearer")
    return FetchedToken(Secret(token), _lifetime(credential, document.get("expires_in")))


def _lifetime(credential: LoadedCredential, expires_in: object) -> float:
    if expires_in is None:
        return DEFAULT_LIFETIME_SECONDS
    try:
        is_number = isinstance(expires_in, int | float | str) and not isinstance(expires_in, bool)
        seconds = float(expires_in) if is_number else math.nan  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        seconds = math.nan
    if not seconds > 0:
        raise _unusable(credential, "its expires_in is no number of seconds")
    return min(seconds, LONGEST_LIFETIME_SECONDS)


def _refusal(
    credential: LoadedCredential,
    status: int,
    document: dict[str, object],
    mask: Callable[[str], str],
) -> CredentialError:
    words = [str(document[k])[:2000] for k in ("error", "error_description") if document.get(k)]
    reason = "".join(c for c in mask(": ".join(words)) if c.isprintable())[:300]
    sentence = f"{_where(credential)} answered {status}" + (f": {reason}." if reason else ".")
    is_refused = 400 <= status < 500 and status not in (408, 429)
    kind = CredentialError if is_refused else TokenUnavailableError
    return kind(sentence, credential=credential.name)


def _unusable(credential: LoadedCredential, reason: str) -> CredentialError:
    return CredentialError(
        f"{_where(credential)} gave an answer that cannot be used: {reason}.",
        credential=credential.name,
    )


def _where(credential: LoadedCredential) -> str:
    return f"No token for the credential '{credential.name}': {credential.attributes['token_url']}"
