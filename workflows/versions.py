"""Definitions of versions, read once: a version never changes."""

from __future__ import annotations

from typing import Any

from workflows.definition import Definition, parse
from workflows.models import WorkflowVersion

MOST_KEPT = 500
_kept: dict[Any, Definition] = {}


def definition_of(version: WorkflowVersion) -> Definition:
    """What a version says.

    Raises:
        DefinitionError: it cannot be read, as one written for a newer hub.
    """
    found = _kept.get(version.pk)
    if found is None:
        found = parse(version.document)
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[version.pk] = found
    return found
