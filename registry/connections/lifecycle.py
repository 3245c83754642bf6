"""Connections are made, changed, switched off and on, and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from core import audit
from core.db.locking import columns_of, lock_row, save_if_changed, unique_name
from core.db.validation import check_columns
from core.exceptions import ValidationFailed
from core.json.equality import json_equal
from core.json.merge_patch import resolved
from core.models import AuditVerb
from core.models.audit import MAX_REASON
from core.references import is_held, refuse_if_used
from registry.connections.address_checks import check_address
from registry.connections.login_checks import check_login
from registry.connections.type_specs import (
    ADDRESS_FIELDS,
    PLAIN_FIELDS,
    TYPE_SPECS,
    check_config,
    check_driver,
    default_port,
)
from registry.credentials.dependants import NONE, GrantChoice, settle_dependants
from registry.credentials.links import Link, note_link, noting_denials
from registry.models import Connection, ConnectionStatus, ConnectionType

logger = structlog.get_logger(__name__)

# All else in a configuration says where a secret goes, how well it is kept on the way, or what is
# sent with it: fixed headers, and the requests of tests.
_UNGUARDED = (
    "timeout_seconds",
    "connect_timeout_seconds",
    "read_timeout_seconds",
    "expected_status",
)


@dataclass(frozen=True, kw_only=True)
class ConnectionEditor:
    """A person or program that changes a connection, and whether that may use credentials."""

    actor: str
    may_use_credentials: bool = True
    # Which of what uses the connection already may use a credential that is linked.
    choice: GrantChoice = NONE

    def link(self, fields: Mapping[str, Any]) -> Link:
        wanted = (fields["credential"] or "") if "credential" in fields else None
        return Link(wanted, actor=self.actor, is_allowed=self.may_use_credentials)


def get_connection(reference: str) -> Connection:
    """Return the connection of that id or name.

    Raises:
        NotFound: there is none.
    """
    return Connection.objects.with_parts().get_named(reference)


def create_connection(fields: Mapping[str, Any], editor: ConnectionEditor) -> Connection:
    """Make a connection. It is PENDING until it is tested, which is due at once.

    Raises:
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken.
        PermissionDenied: it names a credential, and the caller may not use credentials.
        GrantsUnanswered: a person links one, and was not asked of what calls the connection.
    """
    row = Connection(name=fields.get("name", ""), type=fields.get("type", ""))
    with unique_name(row), noting_denials(), transaction.atomic():
        _assign(row, fields)
        editor.link(fields).apply(row)
        _check_credential(row)
        row.save()
        audit.record(AuditVerb.CREATED, row)
        _tell(row, "created", editor.actor)
        _settle_users(row, None, editor)
    return row


def update_connection(
    connection: Connection,
    fields: Mapping[str, Any],
    editor: ConnectionEditor,
    *,
    if_unchanged: bool = False,
) -> Connection:
    """Change what is given and leave the rest; what is a `MergePatch` is merged.

    Raises:
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
        PermissionDenied: it is about a credential, and the caller may not use credentials.
        GrantsUnanswered: a person links one, and was not asked of what calls the connection.
    """
    with unique_name(connection, fields), noting_denials(), transaction.atomic():
        locked = lock_row(connection, if_unchanged=if_unchanged)
        before, kept = _reach_of(locked), audit.snapshot(locked)
        columns, credential = columns_of(locked), locked.credential_id
        _refuse_other_kind(locked, fields)
        link = editor.link(fields)
        guarded = _guarded_of(locked)
        _assign(locked, fields)
        if not json_equal(_guarded_of(locked), guarded):
            link.redirect(locked)
        link.apply(locked)
        _check_credential(locked)
        if not json_equal(_reach_of(locked), before):
            _forget_tests(locked)
        save_if_changed(locked, columns)
        audit.record_changes(locked, kept)
        _tell(locked, "changed", editor.actor)
        _settle_users(locked, credential, editor)
    return locked


def delete_connection(
    connection: Connection,
    editor: ConnectionEditor,
    *,
    if_unchanged: bool = False,
    force: bool = False,
) -> None:
    """Forget a connection with its circuit.

    Raises:
        Conflict: a row that cannot be without it uses it; or a workflow does, without `force`.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with transaction.atomic():
        locked = lock_row(connection, if_unchanged=if_unchanged)
        refuse_if_used(locked, force=force and not is_held(locked))
        note_link(locked, before=locked.credential, actor=editor.actor)
        audit.record(AuditVerb.DELETED, locked)
        _tell(locked, "deleted", editor.actor)
        locked.delete()


def disable_connection(connection: Connection, *, reason: str, actor: str) -> Connection:
    """Switch a connection off: calls through it are refused within two seconds, tests at once.

    Raises:
        ValidationFailed: the reason is missing or too long.
    """
    reason = reason.strip()
    if not 0 < len(reason) <= MAX_REASON:
        raise ValidationFailed.at("reason", f"Say why, in at most {MAX_REASON} characters.")
    with transaction.atomic():
        locked = lock_row(connection)
        locked.status = ConnectionStatus.DISABLED
        locked.disabled_at = locked.disabled_at or timezone.now()
        locked.disabled_by, locked.disabled_reason = actor[:100], reason
        locked.save()
        audit.record(AuditVerb.DISABLED, locked, reason=reason)
        _tell(locked, "disabled", actor, reason=reason)
    return locked


def enable_connection(connection: Connection, *, actor: str) -> Connection:
    """Switch a connection on again: PENDING, and tested soon."""
    with transaction.atomic():
        locked = lock_row(connection)
        if locked.is_disabled:
            locked.disabled_at, locked.disabled_by, locked.disabled_reason = None, "", ""
            _forget_tests(locked)
            locked.save()
            audit.record(AuditVerb.ENABLED, locked)
            _tell(locked, "enabled", actor)
    return locked


# --- Rows ---


def _settle_users(row: Connection, before: Any, editor: ConnectionEditor) -> None:
    """Grant what uses a connection the credential that was linked, or note who waits for that."""
    if row.credential_id is not None and row.credential_id != before:
        settle_dependants(row, actor=editor.actor, choice=editor.choice)


def _reach_of(row: Connection) -> tuple[Any, ...]:
    """Return the columns that a test depends on."""
    return *(getattr(row, name) for name in ADDRESS_FIELDS), row.config, row.credential_id


def _guarded_of(row: Connection) -> tuple[Any, ...]:
    """Return what says where the secret goes, and what is sent with it."""
    kept = {name: value for name, value in row.config.items() if name not in _UNGUARDED}
    return *(getattr(row, name) for name in ADDRESS_FIELDS), kept


def _forget_tests(row: Connection) -> None:
    row.next_check_at = timezone.now()
    row.check_failures, row.last_error, row.last_result = 0, "", {}
    if not row.is_disabled:
        row.status = ConnectionStatus.PENDING


def _tell(row: Connection, change: str, actor: str, **details: str) -> None:
    about = {"connection": row.name, "change": change, "actor": actor, **details}
    transaction.on_commit(lambda: logger.info("connection_changed", **about), robust=True)


# --- What is given ---


def check_fields(row: Connection, fields: Mapping[str, Any]) -> Connection:
    """Put what is given into a row and hold it against every rule; nothing is stored.

    Raises:
        ValidationFailed: a field breaks a rule.
    """
    _assign(row, fields)
    return row


def _assign(row: Connection, fields: Mapping[str, Any]) -> None:
    """Put what is given into the row and hold it against the rules."""
    fields = resolved(row, fields)
    try:
        row.type = ConnectionType.parse(row.type).value
        row.driver = check_driver(row.type, fields.get("driver") or _driver_of(row))
    except ValueError as error:
        name = "type" if row.type not in TYPE_SPECS else "driver"
        raise ValidationFailed.at(name, str(error)) from None
    for name in PLAIN_FIELDS:
        if fields.get(name) is not None:
            setattr(row, name, fields[name])
    _assign_config(row, fields)
    _assign_address(row, fields)
    check_columns(row, exclude=("config", "status", "credential"))


def _driver_of(row: Connection) -> str:
    return "" if row._state.adding else row.driver


def _assign_config(row: Connection, fields: Mapping[str, Any]) -> None:
    if fields.get("config") is not None:
        row.config = check_config(row.type, row.driver, fields["config"])


def _assign_address(row: Connection, fields: Mapping[str, Any]) -> None:
    columns = TYPE_SPECS[row.type].columns
    for name in ADDRESS_FIELDS:
        if name in fields and fields[name] not in (None, "") and name not in columns:
            raise ValidationFailed.at(
                name, f"A {row.type} connection has none. It has: {', '.join(columns)}."
            )
        if name in columns and name in fields:
            value = fields[name]
            setattr(row, name, value if name == "port" else (value or "").strip())
    if "port" in columns and row.port is None:
        row.port = default_port(row.driver, row.config)
    if problem := check_address(row):
        raise ValidationFailed.at(*problem)


def _refuse_other_kind(row: Connection, fields: Mapping[str, Any]) -> None:
    for name in ("type", "driver"):
        if fields.get(name) not in (None, "", getattr(row, name)):
            raise ValidationFailed.at(
                name, f"It stays {getattr(row, name)}. Make another connection for another {name}."
            )


def _check_credential(row: Connection) -> None:
    if problem := check_login(row):
        raise ValidationFailed.at(*problem)
