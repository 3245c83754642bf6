"""Reads an action of a service that is a request and no name: `GET /projects/{id}` (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from registry.calls.targets.connection_action import parse_connection_action
from registry.models import HttpMethod, ServiceAction

_PLACEHOLDER = re.compile(r"\{[^{}/]+\}")
# What may be sent again when it is not known whether it arrived (RFC 9110, section 9.2.2).
IDEMPOTENT = (HttpMethod.GET, HttpMethod.PUT, HttpMethod.DELETE)


def request_in(action: str) -> tuple[str, str] | None:
    """Return the method and the path that an action says itself; None where it is a name.

    No name has a slash.

    Raises:
        ValueError: it is neither; with a sentence.
    """
    if "/" not in action:
        return None
    return parse_connection_action(action)


def registered_request(
    actions: Iterable[ServiceAction], method: str, path: str
) -> ServiceAction | None:
    """Return the action that is registered for a request.

    What stands in the braces of its path may be called otherwise, where it has no schema that says
    so too.
    """
    rows = [row for row in actions if (row.method or HttpMethod.POST) == method]
    for row in rows:
        if (row.path or f"/{row.name}") == path:
            return row
    form = _PLACEHOLDER.sub("{}", path)
    alike = (row for row in rows if _PLACEHOLDER.sub("{}", row.path or f"/{row.name}") == form)
    return next((row for row in alike if not row.input_schema), None)
