"""The health of credentials: whether the secret can be read, and how long it is good for."""

from __future__ import annotations

from datetime import datetime, timedelta

from core.db.vocabulary import Vocabulary
from core.exceptions import VaultError
from registry.credentials.origins import is_clear_text
from registry.credentials.sealing import open_secret
from registry.models import Credential, CredentialType

# Days before the end at which somebody is told, once each; 0 is the end itself.
WARNING_DAYS = (30, 7, 1, 0)


class CredentialState(Vocabulary):
    """The states of a credential, by whether it can be used."""

    USABLE = "USABLE", "Usable"
    EXPIRING = "EXPIRING", "Expiring"
    EXPIRED = "EXPIRED", "Expired"
    UNREADABLE = "UNREADABLE", "Unreadable"
    NO_SECRET = "NO_SECRET", "No secret"


def state_of(credential: Credential, *, now: datetime) -> CredentialState:
    """Return the worst that can be said of a credential."""
    if not credential.has_secret:
        return CredentialState.NO_SECRET
    if problem_of(credential):
        return CredentialState.UNREADABLE
    if credential.expires_at is None:
        return CredentialState.USABLE
    if credential.expires_at <= now:
        return CredentialState.EXPIRED
    soon = credential.expires_at <= now + timedelta(days=WARNING_DAYS[0])
    return CredentialState.EXPIRING if soon else CredentialState.USABLE


def problem_of(credential: Credential) -> str:
    """Return why the secret cannot be read; empty when it can."""
    try:
        open_secret(credential)
    except VaultError as error:
        return error.message
    return ""


def warnings_of(credential: Credential, *, now: datetime) -> list[str]:
    """Return what somebody should look at, as sentences."""
    warnings = []
    state = state_of(credential, now=now)
    if state == CredentialState.NO_SECRET:
        warnings.append(
            "It is a draft: it has no secret yet, and calls that are to carry it are refused."
        )
    elif state == CredentialState.UNREADABLE:
        warnings.append(problem_of(credential))
    elif state in (CredentialState.EXPIRING, CredentialState.EXPIRED):
        assert credential.expires_at is not None
        word = "It expired on" if state == CredentialState.EXPIRED else "It expires on"
        warnings.append(f"{word} {credential.expires_at:%Y-%m-%d %H:%M} UTC: rotate it.")
    if not credential.allowed_origins and credential.type == CredentialType.HMAC_SIGNATURE:
        warnings.append("It has no allowed origins, so it signs no calls; webhooks need none.")
    elif not credential.allowed_origins:
        warnings.append("It has no allowed origins, so it is sent nowhere.")
    clear = [origin for origin in credential.allowed_origins if is_clear_text(origin)]
    if clear:
        warnings.append(
            f"It goes unencrypted over the network to {', '.join(clear[:3])}: use https."
        )
    return warnings


def warning_due(expires_at: datetime, warned_days: int | None, *, now: datetime) -> int | None:
    """Return the nearest limit, in days, reached and not yet told about; None for none (pure)."""
    reached = [days for days in WARNING_DAYS if expires_at <= now + timedelta(days=days)]
    nearest = min(reached, default=None)
    if nearest is None or (warned_days is not None and warned_days <= nearest):
        return None
    return nearest
