"""Recording who did what: one entry for each act, in the transaction of the act.

The edges (API views and the admin) say who acts; the services say what was done. What nobody
stands behind, as a sweep of the hub or a step of an execution, is not recorded here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import models

from core.db.retention import drop_older
from core.json.equality import json_equal
from core.models.audit import (
    MAX_ACTOR,
    MAX_REASON,
    ActorKind,
    AuditEntry,
    AuditVerb,
    object_type_of,
)
from core.request_ids import current_request_id
from core.vault.secret import HIDDEN

logger = structlog.get_logger(__name__)

MAX_VALUE = 1000
# What is never copied into an entry: that it changed is said, not what it was or is.
SECRET_COLUMNS = frozenset({"ciphertext", "digest", "password", "fingerprint", "key_id"})
# What machines write into columns that a form may have too, and an id that is told as a number.
SILENT_COLUMNS = frozenset({"last_login", "last_heartbeat_at", "current_version_id"})
_SECRET_WORDS = ("secret", "password", "passwd", "token", "api_key", "apikey", "private_key")

Changes = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who acts, and why if that was said with the request."""

    kind: str
    name: str
    id: str = ""
    reason: str = ""
    recorded: list[AuditEntry] = field(default_factory=list, compare=False)


_actor: ContextVar[Actor | None] = ContextVar("audit_actor", default=None)


@contextmanager
def acting(actor: Actor | None) -> Iterator[None]:
    """Let what is done meanwhile be recorded as done by this actor."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def act_as(actor: Actor) -> None:
    """Let the rest of what `acting` encloses be recorded as done by this actor."""
    _actor.set(actor)


def current_actor() -> Actor | None:
    """Return who acts; None where it is the hub itself."""
    return _actor.get()


def actor_name() -> str:
    """Return the name of who acts, for records beside the trail; "hub" where it is the hub."""
    actor = _actor.get()
    return actor.name if actor is not None else "hub"


def record(
    verb: AuditVerb,
    row: models.Model,
    *,
    reason: str = "",
    changes: Changes | None = None,
) -> None:
    """Append an entry on what the current actor did to a row; nothing when nobody acts.

    Call it inside the transaction of the change, and before a row that is deleted loses its id.
    `changes` are those of `changes_since`, or details that are no secret.
    """
    entry = entry_on(verb, row, reason=reason, changes=changes)
    if entry is not None:
        entry.save(force_insert=True)


def entry_on(
    verb: AuditVerb,
    row: models.Model,
    *,
    reason: str = "",
    changes: Changes | None = None,
) -> AuditEntry | None:
    """Return the entry that `record` appends, for who stores many at once."""
    actor = _actor.get()
    if actor is None:
        return None
    entry = AuditEntry(
        actor_kind=actor.kind,
        actor_id=actor.id[:64],
        actor=actor.name[:MAX_ACTOR],
        verb=verb,
        object_type=object_type_of(row),
        object_id=str(row.pk),
        object_name=str(getattr(row, "whole_name", row))[:300],
        reason=(reason or actor.reason).strip()[:MAX_REASON],
        changes={key: _shown(key, value) for key, value in (changes or {}).items()},
        request_id=current_request_id()[:128],
    )
    actor.recorded.append(entry)
    return entry


def record_use(verb: AuditVerb, row: models.Model, *, changes: Changes | None = None) -> None:
    """Append that a person used something, such as called a service.

    Programs do so all the time: what they use is told by its own records, and not recorded here.
    """
    actor = _actor.get()
    if actor is not None and actor.kind == ActorKind.USER:
        record(verb, row, changes=changes)


def was_recorded(row: models.Model) -> bool:
    """Return whether the current actor's act on a row has its entry already."""
    actor = _actor.get()
    kind, key = object_type_of(row), str(row.pk)
    recorded = actor.recorded if actor is not None else ()
    return any(entry.object_type == kind and entry.object_id == key for entry in recorded)


def snapshot(row: models.Model) -> dict[str, Any]:
    """Return the columns of a row as they are, for `changes_since`; empty when nobody acts."""
    if _actor.get() is None:
        return {}
    return {
        column.attname: getattr(row, column.attname)
        for column in row._meta.concrete_fields
        if column.editable and column.attname not in SILENT_COLUMNS
    }


def changes_since(before: Mapping[str, Any], row: models.Model) -> dict[str, Any]:
    """Return the columns that differ from a snapshot: `{"name": ["old", "new"]}`."""
    after = {name: getattr(row, name) for name in before}
    return {
        name: [was, after[name]] for name, was in before.items() if not json_equal(was, after[name])
    }


def changes_within(path: str, before: models.Model | None, row: models.Model) -> dict[str, Any]:
    """Return what differs between two states of a part, by paths such as `actions.pay.method`."""
    if before is None:
        return {}
    changed = changes_since(snapshot(before), row)
    return {f"{path}.{name}": values for name, values in changed.items()}


def record_changes(
    row: models.Model, before: Mapping[str, Any], parts: Changes | None = None
) -> None:
    """Append that a row, or `parts` of it, changed since a snapshot; nothing when none did."""
    if changes := {**changes_since(before, row), **(parts or {})}:
        record(AuditVerb.CHANGED, row, changes=changes)


def forget_entries(*, now: datetime) -> int:
    """Drop the oldest entries beyond AUDIT_HISTORY_DAYS; return how many."""
    return drop_older(AuditEntry.objects, days=settings.AUDIT_HISTORY_DAYS, now=now)


def _shown(name: str, value: Any) -> Any:
    """Return a value as JSON that is short enough to keep, and without what looks secret."""
    if name in SECRET_COLUMNS or any(word in name.lower() for word in _SECRET_WORDS):
        return HIDDEN
    if isinstance(value, Mapping):
        value = {str(key): _shown(str(key), each) for key, each in value.items()}
    elif isinstance(value, list | tuple | set | frozenset):
        value = [_shown(name, each) for each in value]
    elif isinstance(value, str):
        return value if len(value) <= MAX_VALUE else f"{value[:MAX_VALUE]}…"
    elif isinstance(value, datetime | date):
        return value.isoformat()
    elif not isinstance(value, bool | int | float | None):
        return str(value)[:MAX_VALUE]
    return value if len(json.dumps(value)) <= MAX_VALUE * 4 else "…"
