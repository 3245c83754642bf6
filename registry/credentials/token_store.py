"""Access tokens, kept sealed for all processes, and the lease of who fetches the next.

Every time is the database's. No lock is held while a token is fetched: a claim is a conditional
update that ends by itself, and what is stored is stored only under the claim that it was made for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import DateTimeField, ExpressionWrapper, Q
from django.db.models.functions import Now

from core.exceptions import VaultError
from core.vault import Secret, get_key_ring, seal, unseal
from registry.models import CredentialToken

MARGIN = 0.2
LONGEST_MARGIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Grant:
    """What the row says to who needs a token.

    `token` may be used for `remaining_seconds`; with `is_claimed` it is for the asker to fetch
    another. Neither a token nor a claim, nor an `error`: somebody else is fetching.
    """

    token: Secret | None = None
    remaining_seconds: float = 0.0
    lifetime_seconds: float = 0.0
    fetched_at: datetime | None = None
    is_claimed: bool = False
    error: str = ""
    is_refused: bool = False
    retry_after: float = 0.0


def margin_seconds(lifetime_seconds: float) -> float:
    """Return how long before its end a token is replaced: a fifth of its life, a minute at most."""
    return min(lifetime_seconds * MARGIN, LONGEST_MARGIN_SECONDS)


def acquire(credential_id: str, version: int, owner: str, lease_seconds: float) -> Grant:
    """Return the token, or the claim to fetch it, or neither while somebody else does.

    A token that nears its end is handed out as long as it holds, but for the one caller who claims.
    """
    grant = _granted(_read(credential_id), version)
    if _is_fresh(grant) or grant.error:
        return grant
    lease = ExpressionWrapper(
        Now() + timedelta(seconds=lease_seconds), output_field=DateTimeField()
    )
    is_free = Q(owner="") | Q(owner_until__lte=Now())
    rows = CredentialToken.objects.filter(is_free, credential_id=UUID(credential_id))
    if not rows.update(owner=owner, owner_until=lease, updated_at=Now()):
        return grant
    # Somebody may have stored one between the look and the claim.
    again = _granted(_read(credential_id), version)
    if _is_fresh(again):
        release(credential_id, owner)
        return again
    return Grant(
        token=again.token, remaining_seconds=again.remaining_seconds,
        lifetime_seconds=again.lifetime_seconds, fetched_at=again.fetched_at, is_claimed=True,
    )  # fmt: skip


def _is_fresh(grant: Grant) -> bool:
    return grant.token is not None and grant.remaining_seconds > margin_seconds(
        grant.lifetime_seconds
    )


def _read(credential_id: str) -> Any:
    rows = CredentialToken.objects.filter(credential_id=UUID(credential_id))
    row = rows.annotate(read_at=Now()).first()
    if row is not None:
        return row
    try:
        with transaction.atomic():
            empty = CredentialToken(credential_id=UUID(credential_id))
            CredentialToken.objects.bulk_create([empty], ignore_conflicts=True)
    except IntegrityError:
        return None  # the credential was deleted
    return rows.annotate(read_at=Now()).first()


def _granted(row: Any, version: int) -> Grant:
    if row is None:
        return Grant(error="The credential was deleted meanwhile.", is_refused=True)
    if row.version != version:
        return Grant()
    token, remaining = None, 0.0
    if row.expires_at is not None and row.expires_at > row.read_at:
        token = _opened(row)
        remaining = (row.expires_at - row.read_at).total_seconds()
    waits = row.error and row.retry_at is not None and row.retry_at > row.read_at
    if waits and token is None:
        seconds = (row.retry_at - row.read_at).total_seconds()
        return Grant(error=row.error, is_refused=row.is_refused, retry_after=seconds)
    return Grant(
        token=token,
        remaining_seconds=remaining,
        # Nobody fetches while a failure is fresh: what holds is taken as good until then.
        lifetime_seconds=0.0 if waits else row.lifetime_seconds,
        fetched_at=row.fetched_at,
    )


def _opened(row: CredentialToken) -> Secret | None:
    try:
        return unseal(row.sealed, row.place, get_key_ring())
    except VaultError:
        return None  # another one is fetched


def store(
    credential_id: str, owner: str, version: int, token: Secret, lifetime_seconds: float
) -> datetime | None:
    """Keep a fetched token and end the claim; when that was, or None if the claim was lost."""
    with transaction.atomic():
        row = _claimed(credential_id, owner).select_for_update().annotate(read_at=Now()).first()
        if row is None:
            return None
        sealed = seal(token, row.place, get_key_ring())
        _claimed(credential_id, owner).update(
            ciphertext=sealed.ciphertext,
            key_id=sealed.key_id,
            version=version,
            expires_at=row.read_at + timedelta(seconds=lifetime_seconds),
            lifetime_seconds=lifetime_seconds,
            fetched_at=row.read_at,
            owner="",
            owner_until=None,
            error="",
            is_refused=False,
            retry_at=None,
            updated_at=Now(),
        )
        return row.read_at


def release(credential_id: str, owner: str) -> None:
    """Give a claim up that was not needed."""
    _claimed(credential_id, owner).update(owner="", owner_until=None, updated_at=Now())


def fail(
    credential_id: str, owner: str, version: int, *, error: str, is_refused: bool, pause: float
) -> None:
    """End a claim without a token: for `pause` seconds all who ask are told why, and none fetches.

    A token of an older version of the credential is forgotten.
    """
    later = ExpressionWrapper(Now() + timedelta(seconds=pause), output_field=DateTimeField())
    mine = _claimed(credential_id, owner)
    with transaction.atomic():
        mine.exclude(version=version).update(
            version=version, ciphertext="", key_id="", expires_at=None
        )
        mine.update(
            owner="", owner_until=None, error=error[:500], is_refused=is_refused, retry_at=later,
            updated_at=Now(),
        )  # fmt: skip


def forget(credential_id: str, fetched_at: datetime | None) -> None:
    """Drop a token that was refused, unless another was fetched meanwhile."""
    rows = CredentialToken.objects.filter(credential_id=UUID(credential_id), fetched_at=fetched_at)
    rows.update(ciphertext="", key_id="", expires_at=None, updated_at=Now())


def _claimed(credential_id: str, owner: str) -> Any:
    return CredentialToken.objects.filter(credential_id=UUID(credential_id), owner=owner)
