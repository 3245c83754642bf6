"""Telling people before credentials end."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db import transaction

from core.mediator import mediator
from registry.credentials.audit import record
from registry.credentials.health import WARNING_DAYS, warning_due
from registry.models import Credential, CredentialEventKind

logger = structlog.get_logger(__name__)
MOST_AT_ONCE = 500


def warn_expiring(*, now: datetime) -> int:
    """Log and publish `credential_expiring` at 30, 7 and 1 days before the end and at it.

    Each is told once, however many sweeps run; how many were told is returned.
    """
    near = Credential.objects.filter(
        expires_at__isnull=False, expires_at__lte=now + timedelta(days=WARNING_DAYS[0])
    ).exclude(warned_days=0)
    warned = 0
    for credential in near.defer("ciphertext").order_by("expires_at")[:MOST_AT_ONCE]:
        assert credential.expires_at is not None
        due = warning_due(credential.expires_at, credential.warned_days, now=now)
        if due is not None:
            warned += _warn(credential, due)
    return warned


def _warn(credential: Credential, days: int) -> bool:
    unchanged = Credential.objects.filter(
        pk=credential.pk,
        expires_at=credential.expires_at,
        warned_days=credential.warned_days,
    )
    assert credential.expires_at is not None
    ends = f"{credential.expires_at:%Y-%m-%d %H:%M} UTC"
    with transaction.atomic():
        if not unchanged.update(warned_days=days):
            return False
        detail = f"Expired on {ends}" if days == 0 else f"Expires on {ends}"
        record(credential, CredentialEventKind.EXPIRING, actor="hub", detail=detail)
        mediator.publish_on_commit(
            "credential_expiring",
            credential_id=credential.pk,
            name=credential.name,
            expires_at=credential.expires_at,
            days=days,
        )
    logger.warning("credential_expiring", credential=credential.name, expires=ends, days=days)
    return True
