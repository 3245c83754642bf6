"""A cache of versions and their definitions, of which only names of what they mean change."""

from __future__ import annotations

import time
from typing import Any

from core.cache import BoundedCache
from core.exceptions import Conflict
from workflows.definition import Definition, DefinitionError, bind, parse
from workflows.models import WorkflowVersion

MOST_CACHED = 500
# A rename is written into the versions that mean the row: so long the name before may be taken.
CACHED_SECONDS = 2.0
_definitions: BoundedCache[Any, Definition] = BoundedCache(MOST_CACHED)
_versions: BoundedCache[Any, tuple[float, WorkflowVersion]] = BoundedCache(MOST_CACHED)


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


def definition_with_id(version_id: Any) -> Definition:
    """Return the definition of the version with that id.

    Raises:
        DefinitionError: the version is gone, or cannot be read.
    """
    version = version_with_id(version_id)
    if version is None:
        raise DefinitionError("The definition of this execution was deleted.")
    return definition_of(version)


def known_definition(version_id: Any) -> Definition | None:
    """Return the definition of the version with that id; None if it is gone or unreadable."""
    return readable_definition(version_with_id(version_id))


def usable_definition(version: WorkflowVersion) -> Definition:
    """Return the definition of a version that somebody asks for.

    Raises:
        Conflict: it cannot be read.
    """
    try:
        return definition_of(version)
    except DefinitionError as error:
        raise Conflict(f"Version {version.number} cannot be read: {error.message}") from None


def version_with_id(version_id: Any) -> WorkflowVersion | None:
    """Return the version with that id, as it was at most two seconds ago; None for no id.

    Read for the first time it has its document, which is to be parsed then; later on that is read
    only when it is asked for.
    """
    if version_id is None:
        return None
    until, version = _versions.get(version_id, (0.0, None))
    if version is not None and time.monotonic() < until:
        return version
    versions = WorkflowVersion.objects.filter(pk=version_id)
    version = (versions if version is None else versions.defer("steps", "options")).first()
    if version is not None:
        _versions[version_id] = time.monotonic() + CACHED_SECONDS, version
    return version


def forget_definitions() -> None:
    """Empty the cache, so that the next look reads the database."""
    _definitions.clear()
    _versions.clear()
