"""The tokens by which jobs call: sealed, and found by their digests."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from django.conf import settings
from django.views.decorators.debug import sensitive_variables

from core.vault import Secret, get_key_ring, seal, unseal
from monitoring.models import HealthCheck

TOKEN_BYTES = 24
LONGEST_TOKEN = 64


@sensitive_variables()
def issue_token(check: HealthCheck) -> None:
    """Give a check a new token in place of the one before; the row is not saved.

    Raises:
        VaultError: there is no key to seal it with.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    check.hold(seal(Secret(token), check.place, get_key_ring()))
    check.push_digest = digest_of(token)


@sensitive_variables()
def token_of(check: HealthCheck) -> Secret | None:
    """Return the token of a check; None for one that no job calls.

    Raises:
        VaultError: it cannot be decrypted.
    """
    return unseal(check.sealed, check.place, get_key_ring()) if check.key_id else None


@sensitive_variables()
def push_url_of(check: HealthCheck, request: Any) -> str | None:
    """Return the address that a job calls; None for a check that none does.

    Raises:
        VaultError: its token cannot be decrypted.
    """
    token = token_of(check)
    if token is None:
        return None
    path = f"/push/{token.reveal()}"
    return (
        f"{settings.PUBLIC_URL}{path}" if settings.PUBLIC_URL else request.build_absolute_uri(path)
    )


@sensitive_variables()
def digest_of(token: str) -> str:
    """Return by what a token is found. It is random, so that a plain digest gives nothing away."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
