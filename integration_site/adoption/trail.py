"""Tells the audit trail who took over what, and who gave it back."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import Any

from core.models.audit import MAX_ACTOR, ActorKind, AuditEntry, AuditVerb

OBJECT_TYPE = "adoption"


def tell(verb: AuditVerb, source: str, reason: str, details: Mapping[str, Any]) -> None:
    """Append an entry on a source, in the transaction of what was done."""
    AuditEntry.objects.create(
        actor_kind=ActorKind.USER,
        actor=person()[:MAX_ACTOR],
        verb=verb,
        object_type=OBJECT_TYPE,
        object_id="",
        object_name=source[:300],
        reason=reason,
        changes=dict(details),
    )


def person() -> str:
    """Return who runs the command, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for them
        return "adopt_schema"
