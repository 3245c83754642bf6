"""A worker's cache of what all rows below a container see."""

from __future__ import annotations

from typing import Any

from workflows.engine.store.dialect import read_json, size_of
from workflows.engine.store.transaction import Transaction

# Of JSON text; as Python objects it is several times as much.
MOST_BYTES = 16 * 1024 * 1024


class WorkerCache:
    """Caches what all branches or elements of an execution see, and what never changes.

    The execution's input and context, the list gone over, and the outcomes around a container,
    which are settled before it begins. Without that, each of ten thousand elements would read them.
    """

    def __init__(self) -> None:
        self.documents = SizedCache()
        self.surroundings = SizedCache()
        self._lists = SizedCache()

    def elements(self, transaction: Transaction, execution: str, path: str) -> list[Any]:
        """Return the list that the MAP at this path goes over."""
        key = (execution, path)
        elements: list[Any] | None = self._lists.get(key)
        if elements is None:
            row = transaction.execute(
                "SELECT input FROM workflow_step WHERE execution_id = %(execution)s"
                " AND path = %(path)s ORDER BY attempt DESC LIMIT 1",
                execution=transaction.dialect.id(execution),
                path=path,
            ).fetchone()
            elements = (read_json(row[0]) or {}).get("over", []) if row else []
            self._lists.add(key, elements, size=size_of(row[0]) if row else 0)
        return elements


class SizedCache:
    """Values by key, as many as fit into `MOST_BYTES`; the oldest go first."""

    def __init__(self) -> None:
        self._values: dict[Any, tuple[Any, int]] = {}
        self._size = 0

    def get(self, key: Any) -> Any:
        """Return a value; None where it is not kept."""
        value, _ = self._values.get(key, (None, 0))
        return value

    def add(self, key: Any, value: Any, *, size: int) -> None:
        """Keep a value, which never changes; one that is too large is kept alone."""
        if key in self._values:
            return
        self._values[key] = (value, size)
        self._size += size
        while self._size > MOST_BYTES and len(self._values) > 1:
            self._size -= self._values.pop(next(iter(self._values)))[1]
