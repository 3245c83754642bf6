"""Reading where a step goes on: `next` and `fallback`."""

from __future__ import annotations

from typing import Any

from workflows.definition.fields import FieldReader
from workflows.definition.values import Fallback, Route

MAX_ROUTES = 100


def read_next(reader: FieldReader, value: Any, path: str) -> tuple[Route, ...]:
    """Read the id of a step, null, or a list of routes; the last one has no condition."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (Route(None, value.strip()),)
    if not isinstance(value, list):
        reader.refuse(path, "'next' must be the id of a step, null, or a list of routes.")
        return ()
    if not 0 < len(value) <= MAX_ROUTES:
        reader.refuse(path, f"A list of routes has 1 to {MAX_ROUTES} entries.")
        return ()
    routes = []
    for index, entry in enumerate(value):
        routes.append(_route(reader, entry, f"{path}[{index}]"))
        if _is_default(entry) and index < len(value) - 1:
            reader.refuse(
                f"{path}[{index}]", "A route without 'when' is always taken; put it last."
            )
    if not _is_default(value[-1]):
        reader.warnings.append(
            f"{path}: no entry without 'when' ends the list, so the workflow fails where none "
            "of the conditions is true."
        )
    return tuple(routes)


def _route(reader: FieldReader, entry: Any, path: str) -> Route:
    if not isinstance(entry, dict):
        reader.refuse(path, 'A route is an object such as {"when": "output.ok", "step": "id"}.')
        return Route(None, None)
    reader.keys(entry, path, ("when", "step"), "A route")
    if "step" not in entry:
        reader.refuse(f"{path}.step", "A route needs 'step': the id of a step, or null to end.")
    when = reader.expression(entry.get("when"), f"{path}.when")
    return Route(when, reader.text(entry, "step", path, longest=None))


def _is_default(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("when") is None


def read_fallback(reader: FieldReader, value: Any, path: str) -> Fallback | None:
    if value is None:
        return None
    if not isinstance(value, dict) or len({"output", "step"} & value.keys()) != 1:
        reader.refuse(path, 'A fallback is {"output": ...} or {"step": "id"}.')
        return None
    reader.keys(value, path, ("output", "step"), "A fallback")
    if "output" in value:
        return Fallback(reader.output(value, path), None)
    step = reader.text(value, "step", path, longest=None)
    if step is None and value["step"] is None:
        reader.refuse(f"{path}.step", "'step' must be the id of a step.")
    return None if step is None else Fallback(None, step)
