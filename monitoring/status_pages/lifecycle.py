"""Status pages are made, changed and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from core.configured_rows import create_row, delete_row, update_row
from core.json.merge_patch import resolved
from monitoring.models import StatusPage
from monitoring.status_pages.components import read_components

logger = structlog.get_logger(__name__)

PLAIN = (
    "name", "title", "description", "visibility", "maintenance", "show_uptime", "show_outages",
)  # fmt: skip
# They are read by rules of their own.
UNCHECKED = ("components",)


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
    page = create_row(StatusPage(), fields, _assign, unchecked=UNCHECKED)
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
    changed = update_row(page, fields, _assign, if_unchanged=if_unchanged, unchecked=UNCHECKED)
    logger.info("status_page_changed", page=changed.name, actor=actor, fields=sorted(fields))
    return changed


def delete_page(page: StatusPage, *, actor: str, if_unchanged: bool = False) -> None:
    """Delete a page; nothing else is.

    Raises:
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    delete_row(page, if_unchanged=if_unchanged)
    logger.info("status_page_deleted", page=page.name, actor=actor)


def _assign(page: StatusPage, fields: Mapping[str, Any]) -> None:
    fields = resolved(page, fields)
    for name in PLAIN:
        if name in fields:
            setattr(page, name, fields[name])
    if "components" in fields:
        page.components = read_components(fields["components"] or [])
