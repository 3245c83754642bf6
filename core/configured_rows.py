"""Creates, changes and deletes rows that operators configure: each by what its table asks for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from django.db import transaction

from core import audit
from core.db.locking import columns_of, lock_row, save_if_changed, unique_name
from core.db.validation import check_columns
from core.models import AuditVerb
from core.references import refuse_if_used

Row = TypeVar("Row", bound=Any)
# Puts what is given into a row. Raises: ValidationFailed.
Assign = Callable[[Any, Mapping[str, Any]], None]


def create_row(
    row: Row, fields: Mapping[str, Any], assign: Assign, *, unchecked: Collection[str] = ()
) -> Row:
    """Store a new row; `unchecked` are the columns that `assign` itself sees to.

    Raises:
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken.
    """
    with unique_name(row, fields), transaction.atomic():
        put_fields(row, fields, assign, unchecked=unchecked)
        row.save()
        audit.record(AuditVerb.CREATED, row)
    return row


def update_row(
    row: Row,
    fields: Mapping[str, Any],
    assign: Assign,
    *,
    if_unchanged: bool = False,
    unchecked: Collection[str] = (),
) -> Row:
    """Change what is given and leave the rest.

    Raises:
        As of `create_row`; and
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with unique_name(row, fields), transaction.atomic():
        locked: Row = lock_row(row, if_unchanged=if_unchanged)
        before, columns = audit.snapshot(locked), columns_of(locked)
        put_fields(locked, fields, assign, unchecked=unchecked)
        save_if_changed(locked, columns)
        audit.record_changes(locked, before)
    return locked


def delete_row(row: Any, *, if_unchanged: bool = False, force: bool = False) -> None:
    """Forget a row.

    Raises:
        Conflict: something uses it, without `force`.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with transaction.atomic():
        locked = lock_row(row, if_unchanged=if_unchanged)
        refuse_if_used(locked, force=force)
        audit.record(AuditVerb.DELETED, locked)
        locked.delete()


def put_fields(
    row: Any, fields: Mapping[str, Any], assign: Assign, *, unchecked: Collection[str] = ()
) -> None:
    """Put what is given into a row, and hold it to its rules; nothing is stored.

    Raises:
        ValidationFailed: a field breaks a rule.
    """
    assign(row, fields)
    check_columns(row, exclude=unchecked)
