"""Reads where a step goes on: `next`, and `fallback` and `on_error` when it fails."""

from __future__ import annotations

import re
from typing import Any

from workflows.definition.fields import FieldReader, show
from workflows.definition.model import ErrorRoute, Fallback, Route

MAX_ROUTES = 100
MAX_CODES = 50
ANY_CODE = "*"

_ERROR_CODE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}\Z")


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


def read_on_error(reader: FieldReader, value: Any, path: str) -> tuple[ErrorRoute, ...]:
    """Read where to go on after which errors; one for any error comes last."""
    if value is None:
        return ()
    if not isinstance(value, list) or not 0 < len(value) <= MAX_ROUTES:
        reader.refuse(
            path,
            f"'on_error' is a list of 1 to {MAX_ROUTES} entries such as "
            '{"match": ["circuit_open"], "step": "id"}.',
        )
        return ()
    routes = []
    matched: dict[str, str] = {}
    for index, entry in enumerate(value):
        entry_path = f"{path}[{index}]"
        route = _error_route(reader, entry, entry_path)
        routes.append(route)
        _check_matched(reader, route, entry_path, matched)
    return tuple(routes)


def _error_route(reader: FieldReader, entry: Any, path: str) -> ErrorRoute:
    if not isinstance(entry, dict):
        reader.refuse(path, 'An entry is an object such as {"match": ["*"], "step": "id"}.')
        return ErrorRoute((), None)
    reader.keys(entry, path, ("match", "step"), "An entry")
    if "step" not in entry:
        reader.refuse(f"{path}.step", "An entry needs 'step': the id of a step, or null to end.")
    step = reader.text(entry, "step", path, longest=None)
    return ErrorRoute(_codes(reader, entry.get("match"), f"{path}.match"), step)


def _codes(reader: FieldReader, value: Any, path: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_CODES:
        reader.refuse(
            path, f"'match' must be a list of 1 to {MAX_CODES} error codes, or [\"*\"] for any."
        )
        return ()
    codes = []
    for index, entry in enumerate(value):
        code = entry.strip().lower() if isinstance(entry, str) else ""
        if code == ANY_CODE or _ERROR_CODE.match(code):
            codes.append(code)
        else:
            reader.refuse(
                f"{path}[{index}]",
                f"{show(entry)} is not an error code; use one such as circuit_open, or * for any.",
            )
    return tuple(dict.fromkeys(codes))


def _check_matched(
    reader: FieldReader, route: ErrorRoute, path: str, matched: dict[str, str]
) -> None:
    """Refuse what an earlier entry takes already; `matched` maps codes to their entries."""
    for code in route.match:
        earlier = matched.get(ANY_CODE) or matched.get(code)
        if earlier is not None:
            reader.refuse(f"{path}.match", f"{earlier} takes '{code}' already.")
        else:
            matched[code] = path
