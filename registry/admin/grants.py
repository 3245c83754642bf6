"""Uses of credentials on the pages of what makes them: which are granted, and allowing the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest

from core.admin.dialogs import dialog_action
from registry.admin.credential import may_use_credentials
from registry.policies.credential_grants import GrantLine, GrantState

# The name of the permission as `permissions` of an action name it.
PERMISSION = "use_credentials"
MOST_TOLD = 20


class GrantingMixin:
    """Pages with the action `allow`, which only who may use credentials is shown."""

    def has_use_credentials_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may let something use credentials, as over the API."""
        return may_use_credentials(request)


def allow_action(explanation: str) -> Any:
    """Make a method the action that allows what is not granted."""
    return dialog_action(
        "Allow",
        icon="key",
        permission=PERMISSION,
        title="Let it use these credentials?",
        explanation=explanation,
    )


def tell_awaiting(request: HttpRequest, row: Any) -> None:
    """Say on the next page what calls a row and waits for the credential that was linked to it."""
    awaiting = getattr(row, "awaiting_grant", None) or []
    if awaiting:
        more = f" and {len(awaiting) - MOST_TOLD} more" if len(awaiting) > MOST_TOLD else ""
        messages.warning(
            request,
            f"{row}: {', '.join(awaiting[:MOST_TOLD])}{more} may not use the credential yet and"
            " will be refused. Allow that on the page of each.",
        )


def are_complete(lines: Sequence[GrantLine]) -> bool:
    """Return whether each use is granted."""
    return all(line.state == GrantState.GRANTED for line in lines)


def grants_shown(request: HttpRequest, lines: Sequence[GrantLine]) -> dict[str, Any]:
    """Return what `console/grants.html` shows."""
    return {
        "grant_lines": lines,
        "grants_complete": are_complete(lines),
        "may_use_credentials": may_use_credentials(request),
    }
