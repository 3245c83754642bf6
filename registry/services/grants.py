"""Lets actions use the credential of their service: when they are registered, and when asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction

from core.db.locking import lock_row
from core.exceptions import ValidationFailed
from registry.credentials.dependants import GrantChoice, settle_dependants
from registry.credentials.grants import grant_actions
from registry.credentials.links import Link
from registry.discovery.change_log import log_changed_parts
from registry.models import Service, ServiceAction


def grant_given(
    service: Service,
    actions: Sequence[Mapping[str, Any]] | None,
    link: Link,
    credential_before: UUID | None,
) -> None:
    """Let actions use the credential as far as who registers them may allow that.

    Who links a credential allows the actions as they are; who may link it, those that are given.
    """
    if service.credential_id is None or not link.is_allowed:
        return
    is_linked = service.credential_id != credential_before
    if not is_linked and actions is None:
        return
    given = {str(fields.get("name", "")) for fields in actions or ()}
    grant_actions(service, actor=link.actor, names=None if is_linked else given)
    if is_linked:
        choice = GrantChoice(allows_all=link.grants_users)
        settle_dependants(service, actor=link.actor, choice=choice)


def with_awaiting(service: Service, reloaded: Service) -> Service:
    """Return a row that was read again, with what waits for the credential that was linked."""
    if hasattr(service, "awaiting_grant"):
        reloaded.awaiting_grant = service.awaiting_grant  # type: ignore[attr-defined]
    return reloaded


def allow_actions(
    service: Service, *, actor: str, names: Collection[str] | None = None
) -> list[ServiceAction]:
    """Let actions of a service use its credential as they are now, all unless `names` says which.

    Raises:
        ValidationFailed: the service has no credential, or no such action.
    """
    with transaction.atomic():
        locked = lock_row(service)
        if locked.credential_id is None:
            raise ValidationFailed.at("actions", f"The service '{locked.name}' has no credential.")
        missing = sorted(set(names or ()) - set(locked.actions.values_list("name", flat=True)))
        if missing:
            sentence = f"The service '{locked.name}' has no action '{missing[0][:100]}'."
            raise ValidationFailed.at("actions", sentence)
        granted = grant_actions(locked, actor=actor, names=names)
        if granted:
            log_changed_parts(locked)
    return granted
