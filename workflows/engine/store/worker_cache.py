"""What a worker keeps between claims."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from core.cache import BoundedCache
from workflows.definition import Definition, DefinitionError, bind, parse
from workflows.definition_cache import KEPT_SECONDS
from workflows.engine.store.dialect import Dialect, key_of, read_json, size_of

MOST_DEFINITIONS = 500
# Of JSON text; as Python objects it is several times as much.
MOST_KEPT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class KeptDefinition:
    """A definition as its version said it, and until when nobody needs to look again."""

    definition: Definition | DefinitionError
    checksum: str
    until: float


class WorkerCache:
    """What hardly changes and is worth keeping between claims.

    Definitions, in which renames are looked for now and then; and of executions with branches or
    elements what all of these see: the execution's input and context, the list gone over, and the
    outcomes around a container, which are settled before it begins. Without that, each of ten
    thousand elements would read them.
    """

    def __init__(self) -> None:
        self._definitions: BoundedCache[str, KeptDefinition] = BoundedCache(MOST_DEFINITIONS)
        self._lists = Kept()
        self.documents = Kept()
        self.surroundings = Kept()

    def definition(self, dialect: Dialect, cursor: Any, version: Any) -> Any:
        """The parsed definition of a version, or the error that reading it gives."""
        key = key_of(version) if version else ""
        kept = self._definitions.get(key)
        if kept is None or kept.until < time.monotonic():
            self._definitions[key] = kept = _look_again(dialect, cursor, key, kept)
        return kept.definition

    def elements(self, dialect: Dialect, cursor: Any, execution: str, path: str) -> list[Any]:
        """The list that the MAP at this path goes over."""
        key = (execution, path)
        found = self._lists.get(key)
        if found is None:
            cursor.execute(
                "SELECT input FROM workflow_step WHERE execution_id = %s AND path = %s"
                " ORDER BY attempt DESC LIMIT 1",
                [dialect.id(execution), path],
            )
            row = cursor.fetchone()
            found = (read_json(row[0]) or {}).get("over", []) if row else []
            self._lists.keep(key, found, size=size_of(row[0]) if row else 0)
        return found


class Kept:
    """Values by key, as many as fit into `MOST_KEPT_BYTES`; the oldest go first."""

    def __init__(self) -> None:
        self._values: dict[Any, tuple[Any, int]] = {}
        self._size = 0

    def get(self, key: Any) -> Any:
        found = self._values.get(key)
        return found[0] if found else None

    def keep(self, key: Any, value: Any, *, size: int) -> None:
        if key in self._values:
            return
        self._values[key] = (value, size)
        self._size += size
        while self._size > MOST_KEPT_BYTES and len(self._values) > 1:
            self._size -= self._values.pop(next(iter(self._values)))[1]


def _look_again(
    dialect: Dialect, cursor: Any, key: str, before: KeptDefinition | None
) -> KeptDefinition:
    """Read a definition, or only see that it is the one that is kept."""
    until = time.monotonic() + KEPT_SECONDS
    if before is not None and _read(dialect, cursor, key, "checksum") == (before.checksum,):
        return KeptDefinition(before.definition, before.checksum, until)
    found = _read(dialect, cursor, key, "steps, options, bindings, checksum")
    return KeptDefinition(_definition_in(found), found[3] if found else "", until)


def _read(dialect: Dialect, cursor: Any, key: str, columns: str) -> Any:
    if not key:
        return None
    where, params = dialect.among("id", [key])
    cursor.execute(f"SELECT {columns} FROM workflow_version WHERE {where}", params)
    return cursor.fetchone()


def _definition_in(found: Any) -> Definition | DefinitionError:
    if found is None:
        return DefinitionError("The definition of this execution was deleted.")
    try:
        definition = parse({**read_json(found[1]), "steps": read_json(found[0])})
        return bind(definition, read_json(found[2]) or {})
    except DefinitionError as error:
        return error
