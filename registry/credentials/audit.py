"""The audit trail of credentials: who did what with which, and what was refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F

from core import audit
from core.db.retention import drop_older
from core.mediator import mediator
from core.models import AuditVerb
from core.request_ids import current_request_id
from registry.models import Credential, CredentialEvent, CredentialEventKind
from registry.models.credential import MAX_ACTOR

logger = structlog.get_logger(__name__)

# What is done to a credential is in the trail of all objects too; links are on what carries it.
_VERBS = {
    CredentialEventKind.CREATED: AuditVerb.CREATED,
    CredentialEventKind.CHANGED: AuditVerb.CHANGED,
    CredentialEventKind.ROTATED: AuditVerb.ROTATED,
    CredentialEventKind.DELETED: AuditVerb.DELETED,
}


@dataclass(frozen=True, slots=True)
class Uses:
    """Uses of a credential, or refusals, for the same thing: their number and the last of them."""

    credential_id: str
    credential_name: str
    kind: str
    actor: str
    subject: str
    detail: str
    count: int
    used_at: datetime


def record(
    credential: Credential,
    kind: str,
    *,
    actor: str,
    subject: str = "",
    detail: str = "",
    changes: audit.Changes | None = None,
) -> None:
    """Append an entry, log it, and publish it as `credential_changed` once it is durable.

    Call it inside the transaction of what it tells about.
    """
    request_id = current_request_id()
    CredentialEvent.objects.create(
        credential_id=credential.pk,
        credential_name=credential.name,
        kind=kind,
        actor=actor[:MAX_ACTOR],
        subject=subject[:200],
        detail=detail[:500],
        request_id=request_id[:128],
    )
    if verb := _VERBS.get(CredentialEventKind(kind)):
        audit.record(verb, credential, changes=changes)
    about = {"credential": credential.name, "kind": str(kind), "actor": actor, "subject": subject}
    transaction.on_commit(
        lambda: logger.info("credential_changed", **{k: v for k, v in about.items() if v}),
        robust=True,
    )
    mediator.publish_on_commit("credential_changed", credential_id=credential.pk, **about)


def deny(credential: Credential, *, actor: str, subject: str, detail: str) -> None:
    """Note that somebody was refused the use of a credential."""
    record(credential, CredentialEventKind.DENIED, actor=actor, subject=subject, detail=detail)


def record_uses(counted: Sequence[Uses]) -> None:
    """Count uses: one entry for each hour and kind of use, and the last use on the credential."""
    for uses in counted:
        with transaction.atomic():
            _record_uses(uses)


def forget_events(*, now: datetime) -> int:
    """Drop the oldest entries beyond CREDENTIAL_HISTORY_DAYS; return how many."""
    return drop_older(CredentialEvent.objects, days=settings.CREDENTIAL_HISTORY_DAYS, now=now)


def _record_uses(uses: Uses) -> None:
    hour = uses.used_at.replace(minute=0, second=0, microsecond=0)
    same = {
        "credential_id": UUID(uses.credential_id),
        "kind": uses.kind,
        "actor": uses.actor[:MAX_ACTOR],
        "subject": uses.subject[:200],
        "detail": uses.detail[:500],
    }
    entry = CredentialEvent.objects.filter(**same, created_at__gte=hour).order_by("-id").first()
    if entry is None:
        CredentialEvent.objects.create(
            **same, credential_name=uses.credential_name, count=uses.count
        )
    else:
        CredentialEvent.objects.filter(pk=entry.pk).update(
            count=F("count") + uses.count, updated_at=uses.used_at
        )
    if uses.kind == CredentialEventKind.USED:
        Credential.objects.filter(pk=uses.credential_id).update(last_used_at=uses.used_at)
