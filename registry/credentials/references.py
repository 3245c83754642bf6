"""Finds who uses a credential, and names users as the audit trail does."""

from __future__ import annotations

from typing import Any

from core import references
from registry.models import Credential, Service


def users_of(credential: Credential, *, most: int) -> list[Any]:
    """Return the rows of every app that have the credential, so many for each column at most."""
    users = references.referring_rows(credential, most=most)
    return list({user.pk: user for user in users}.values())


def title_of(user: Any) -> str:
    """Return what a user is called in the audit trail: a service by its name alone."""
    return str(user) if isinstance(user, Service) else references.title_of(user)
