"""Made-up values that fit a JSON Schema as far as that is easy (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 8
MAX_PROPERTIES = 100
MAX_ITEMS = 5
_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "email": "person@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample_of(schema: Any) -> Any:
    """A value of a schema: what it says itself (const, default, examples, enum), else by type."""
    return _sample(schema, schema, MAX_DEPTH)


def _sample(schema: Any, root: Any, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth <= 0:
        return None
    if isinstance(schema.get("$ref"), str):
        return _sample(_referred(schema["$ref"], root), root, depth - 1)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if isinstance(schema.get(key), list) and schema[key]:
            return schema[key][0]
    for key in ("oneOf", "anyOf"):
        if isinstance(schema.get(key), list) and schema[key]:
            rest = {k: v for k, v in schema.items() if k != key}
            return _sample(_merged([rest, schema[key][0]], root), root, depth - 1)
    if isinstance(schema.get("allOf"), list):
        rest = {k: v for k, v in schema.items() if k != "allOf"}
        return _sample(_merged([rest, *schema["allOf"]], root), root, depth - 1)
    return _by_type(schema, root, depth)


def _merged(parts: list[Any], root: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        if isinstance(part, Mapping) and isinstance(part.get("$ref"), str):
            part = _referred(part["$ref"], root)
        if not isinstance(part, Mapping):
            continue
        properties = {**_object(merged.get("properties")), **_object(part.get("properties"))}
        merged = {**merged, **part, **({"properties": properties} if properties else {})}
    return merged


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _referred(reference: str, root: Any) -> Any:
    referred = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part:
            referred = _object(referred).get(part.replace("~1", "/").replace("~0", "~"))
    return referred if reference.startswith("#") else None


def _by_type(schema: Mapping[str, Any], root: Any, depth: int) -> Any:
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object" or (kind is None and "properties" in schema):
        properties = list(_object(schema.get("properties")).items())[:MAX_PROPERTIES]
        return {name: _sample(about, root, depth - 1) for name, about in properties}
    if kind == "array":
        count = max(1, min(_number(schema.get("minItems"), 1), MAX_ITEMS))
        return [_sample(schema.get("items"), root, depth - 1)] * int(count)
    if kind == "string":
        return _text(schema)
    if kind in ("integer", "number"):
        return _amount(schema, whole=kind == "integer")
    return {"boolean": True, None: {}}.get(kind) if isinstance(kind, str | None) else None


def _text(schema: Mapping[str, Any]) -> str:
    text = _FORMATS.get(str(schema.get("format")), "text")
    least = int(min(_number(schema.get("minLength"), 0), 1_000))
    most = int(_number(schema.get("maxLength"), 1_000_000))
    return text.ljust(least, "x")[:most]


def _amount(schema: Mapping[str, Any], *, whole: bool) -> float:
    step = _number(schema.get("multipleOf"), 1) or 1
    if "exclusiveMinimum" in schema:
        least = _number(schema["exclusiveMinimum"], 0) + step
    else:
        least = _number(schema.get("minimum"), 0 if "maximum" in schema else step)
    most = _number(schema.get("maximum"), least)
    value = min(max(least, 0 if most >= 0 else most), most) if "minimum" not in schema else least
    return int(value) if whole else value


def _number(value: Any, otherwise: float) -> float:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    return value if usable else otherwise
