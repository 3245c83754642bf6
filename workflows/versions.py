"""Versions and their definitions, read once: a version never changes."""

from __future__ import annotations

from typing import Any, TypeVar

from workflows.definition import Definition, bind, parse
from workflows.models import WorkflowVersion

MOST_KEPT = 500
T = TypeVar("T")
_definitions: dict[Any, Definition] = {}
_versions: dict[Any, WorkflowVersion] = {}


def definition_of(version: WorkflowVersion) -> Definition:
    """What a version says.

    Raises:
        DefinitionError: it cannot be read, as one written for a newer hub.
    """
    found = _definitions.get(version.pk)
    return found or _keep(_definitions, version.pk, bind(parse(version.document), version.bindings))


def version_with_id(key: Any) -> WorkflowVersion | None:
    """The version with that id; its document is read when it is asked for."""
    found = _versions.get(key)
    if found is None:
        found = WorkflowVersion.objects.defer("steps", "options").filter(pk=key).first()
    return found and _keep(_versions, key, found)


def _keep(kept: dict[Any, T], key: Any, value: T) -> T:
    if key not in kept:
        if len(kept) >= MOST_KEPT:
            kept.clear()
        kept[key] = value
    return value
