"""What a worker keeps between claims."""

from __future__ import annotations

from typing import Any

from workflows.definition import Definition, DefinitionError, bind, parse
from workflows.store.dialect import Dialect, key_of, read_json, size_of

MOST_DEFINITIONS = 500
# Of JSON text; as Python objects it is several times as much.
MOST_KEPT_BYTES = 16 * 1024 * 1024


class Memory:
    """What never changes and is worth keeping between claims.

    Definitions; and of executions with branches or elements what all of these see: the
    execution's input and context, the list gone over, and the outcomes around a container, which
    are settled before it begins. Without that, each of ten thousand elements would read them.
    """

    def __init__(self) -> None:
        self._definitions: dict[str, Definition | DefinitionError] = {}
        self._lists = Kept()
        self.documents = Kept()
        self.surroundings = Kept()

    def definition(self, dialect: Dialect, cursor: Any, version: Any) -> Any:
        """The parsed definition of a version, or the error that reading it gives."""
        key = key_of(version) if version else ""
        if key not in self._definitions:
            _make_room(self._definitions, MOST_DEFINITIONS)
            self._definitions[key] = _read_definition(dialect, cursor, key)
        return self._definitions[key]

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


def _make_room(kept: dict[Any, Any], most: int) -> None:
    if len(kept) >= most:
        kept.pop(next(iter(kept)))


def _read_definition(dialect: Dialect, cursor: Any, key: str) -> Definition | DefinitionError:
    found = None
    if key:
        where, params = dialect.among("id", [key])
        cursor.execute(
            f"SELECT steps, options, bindings FROM workflow_version WHERE {where}", params
        )
        found = cursor.fetchone()
    if found is None:
        return DefinitionError("The definition of this execution was deleted.")
    try:
        definition = parse({**read_json(found[1]), "steps": read_json(found[0])})
        return bind(definition, read_json(found[2]) or {})
    except DefinitionError as error:
        return error
