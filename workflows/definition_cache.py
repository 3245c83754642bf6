"""Caches versions and their definitions: in a version only names of what it means change."""

from __future__ import annotations

import time
from typing import Any

from core.cache import BoundedCache
from core.exceptions import Conflict
from workflows.definition import Definition, DefinitionError, bind, parse
from workflows.models import WorkflowVersion

MOST_KEPT = 500
# A rename is written into the versions that mean the row: so long the name before may be taken.
KEPT_SECONDS = 2.0
_definitions: BoundedCache[Any, Definition] = BoundedCache(MOST_KEPT)
_versions: BoundedCache[Any, tuple[float, WorkflowVersion]] = BoundedCache(MOST_KEPT)


def definition_of(version: WorkflowVersion) -> Definition:
    """Return the definition of a version.

    Raises:
        DefinitionError: it cannot be read, as one written for a newer hub.
    """
    key = (version.pk, version.checksum)
    definition = _definitions.get(key)
    if definition is None:
        definition = bind(parse(version.document), version.bindings)
        _definitions[key] = definition
    return definition


def readable_definition(version: WorkflowVersion | None) -> Definition | None:
    """Return the definition of a version; None if it is gone or cannot be read."""
    try:
        return definition_of(version) if version is not None else None
    except DefinitionError:
        return None


def known_definition(key: Any) -> Definition | None:
    """Return the definition of the version with that id; None if it is gone or unreadable."""
    return readable_definition(version_with_id(key) if key is not None else None)


def usable_definition(version: WorkflowVersion) -> Definition:
    """Return the definition of a version that somebody asks for.

    Raises:
        Conflict: it cannot be read.
    """
    try:
        return definition_of(version)
    except DefinitionError as error:
        raise Conflict(f"Version {version.number} cannot be read: {error.message}") from None


def version_with_id(key: Any) -> WorkflowVersion | None:
    """Return the version with that id; its document is read when it is asked for."""
    until, version = _versions.get(key, (0.0, None))
    if version is not None and time.monotonic() < until:
        return version
    version = WorkflowVersion.objects.defer("steps", "options").filter(pk=key).first()
    if version is not None:
        _versions[key] = time.monotonic() + KEPT_SECONDS, version
    return version
