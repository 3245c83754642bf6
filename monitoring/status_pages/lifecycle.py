"""Status pages are made, changed and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from django.db import transaction

from core import audit
from core.db.locking import columns_of, lock_row, save_if_changed, unique_name
from core.db.validation import check_columns
from core.json.merge_patch import resolved
from core.models import AuditVerb
from monitoring.models import StatusPage
from monitoring.status_pages.components import read_components

logger = structlog.get_logger(__name__)

PLAIN = (
    "name", "title", "description", "visibility", "maintenance", "show_uptime", "show_outages",
)  # fmt: skip


def get_page(reference: str) -> StatusPage:
    """Return the page of that id or name.

    Raises:
        NotFound: there is none.
    """
    return StatusPage.objects.get_named(reference)


def create_page(fields: Mapping[str, Any], *, actor: str) -> StatusPage:
    """Make a page.

    Raises:
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken.
    """
    page = StatusPage()
    _assign(page, fields)
    with unique_name(page, fields), transaction.atomic():
        page.save(force_insert=True)
        audit.record(AuditVerb.CREATED, page)
    logger.info("status_page_created", page=page.name, actor=actor)
    return page


def update_page(
    page: StatusPage, fields: Mapping[str, Any], *, actor: str, if_unchanged: bool = False
) -> StatusPage:
    """Change what is given; components are replaced as a whole.

    Raises:
        ValidationFailed: a field breaks a rule.
        Conflict: the name is taken.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with unique_name(page, fields), transaction.atomic():
        locked = lock_row(page, if_unchanged=if_unchanged)
        kept, columns = audit.snapshot(locked), columns_of(locked)
        _assign(locked, fields)
        save_if_changed(locked, columns)
        audit.record_changes(locked, kept)
    logger.info("status_page_changed", page=locked.name, actor=actor, fields=sorted(fields))
    return locked


def delete_page(page: StatusPage, *, actor: str, if_unchanged: bool = False) -> None:
    """Delete a page; nothing else is.

    Raises:
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with transaction.atomic():
        locked = lock_row(page, if_unchanged=if_unchanged)
        audit.record(AuditVerb.DELETED, locked)
        locked.delete()
    logger.info("status_page_deleted", page=page.name, actor=actor)


def _assign(page: StatusPage, fields: Mapping[str, Any]) -> None:
    fields = resolved(page, fields)
    for name in PLAIN:
        if name in fields:
            setattr(page, name, fields[name])
    if "components" in fields:
        page.components = read_components(fields["components"] or [])
    check_columns(page, exclude=("components",))
