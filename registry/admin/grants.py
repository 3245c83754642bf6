"""Uses of credentials on the pages of what makes them: which are granted, and allowing the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest

from core.admin.dialogs import dialog_action
from registry.admin.credential import may_use_credentials
from registry.policies.credential_grants import GrantLine, GrantState

# The name of the permission as `permissions` of an action name it.
PERMISSION = "use_credentials"


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
