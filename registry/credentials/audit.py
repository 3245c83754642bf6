"""The audit trail of credentials: who did what with which, and what was refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F

from core import audit
from core.db.retention import drop_older
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
class CredentialUse:
    """A use of a credential, or a refusal of it; those that are equal are counted together."""

    credential_id: str
    credential_name: str
    kind: str
    actor: str
    subject: str
    detail: str = ""


def record(
    credential: Credential,
    kind: str,
    *,
    actor: str,
    subject: str = "",
    detail: str = "",
    changes: audit.Changes | None = None,
) -> None:
    """Append an entry, and log it as `credential_changed` once it is durable.

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


def deny(credential: Credential, *, actor: str, subject: str, detail: str) -> None:
    """Note that somebody was refused the use of a credential."""
    record(credential, CredentialEventKind.DENIED, actor=actor, subject=subject, detail=detail)


def forget_events(*, now: datetime) -> int:
    """Drop the oldest entries beyond CREDENTIAL_HISTORY_DAYS; return how many."""
    return drop_older(CredentialEvent.objects, days=settings.CREDENTIAL_HISTORY_DAYS, now=now)


def record_uses(use: CredentialUse, *, count: int = 1, used_at: datetime) -> None:
    """Count uses: one entry for each hour and kind of use, and the last use on the credential."""
    hour = used_at.replace(minute=0, second=0, microsecond=0)
    same = {
        "credential_id": UUID(use.credential_id),
        "kind": use.kind,
        "actor": use.actor[:MAX_ACTOR],
        "subject": use.subject[:200],
        "detail": use.detail[:500],
    }
    with transaction.atomic():
        entry = CredentialEvent.objects.filter(**same, created_at__gte=hour).order_by("-id").first()
        if entry is None:
            CredentialEvent.objects.create(**same, credential_name=use.credential_name, count=count)
        else:
            CredentialEvent.objects.filter(pk=entry.pk).update(
                count=F("count") + count, updated_at=used_at
            )
        if use.kind == CredentialEventKind.USED:
            Credential.objects.filter(pk=use.credential_id).update(last_used_at=used_at)
