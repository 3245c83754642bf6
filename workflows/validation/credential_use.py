"""Checks who may name a connection that carries a credential in the steps of a workflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied

from registry.models import Connection
from workflows.definition import Compensation, Step, read


def check_connections(
    document: Mapping[str, Any],
    before: Mapping[str, Any] | None = None,
    *,
    may_use_credentials: bool,
) -> None:
    """Refuse what lets somebody use a credential who may not.

    A step says method and path itself, so that whoever writes one can do with the credential of a
    connection whatever that lets them. What the document `before` calls already may stay.

    Raises:
        PermissionDenied: it calls something else of a connection that has a credential.
    """
    if may_use_credentials:
        return
    new = _called_in(document) - (_called_in(before) if before else frozenset())
    for name in sorted({name for name, _ in new}):
        connection = Connection.objects.find(name)
        if connection is not None and connection.credential_id is not None:
            raise PermissionDenied(
                f"Calling the connection '{connection.name}', which has a credential, needs the"
                " scope credentials:use."
            )


def _called_in(document: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """Return what a definition calls of connections: their names in lower case, with the action."""
    definition = read(document).definition
    steps = definition.steps.values() if definition else ()
    calls: list[Step | Compensation | None] = [*steps, *(step.compensate for step in steps)]
    return frozenset(
        (call.target.name.lower(), call.action or "")
        for call in calls
        if call is not None and call.target is not None and call.target.kind == "connection"
    )
