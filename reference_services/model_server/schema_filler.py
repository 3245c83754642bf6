"""Makes a JSON value that fits a schema, with texts from the model: for output and for tools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

JsonObject = dict[str, Any]
DEEPEST = 8


def fill(schema: JsonObject, text: Callable[[str], str]) -> Any:
    """Return a value of the schema; `text` gives the string for a property of a name."""
    return _Filler(schema, text).value(schema, name="value", depth=0)


class _Filler:
    def __init__(self, root: JsonObject, text: Callable[[str], str]) -> None:
        self._root = root
        self._text = text

    def value(self, schema: Any, *, name: str, depth: int) -> Any:
        schema = self._resolved(schema)
        if depth > DEEPEST:
            return None
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        if schema.get("enum"):
            return schema["enum"][0]
        for key in ("anyOf", "oneOf", "allOf"):
            if schema.get(key):
                return self.value(schema[key][0], name=name, depth=depth + 1)
        make = {
            "object": self._object,
            "array": self._array,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda *_: True,
            "null": lambda *_: None,
        }.get(_type(schema), self._string)
        return make(schema, name, depth)

    def _resolved(self, schema: Any) -> JsonObject:
        """Return the schema that a local reference names, in so many steps."""
        for _ in range(DEEPEST):
            reference = schema.get("$ref") if isinstance(schema, dict) else None
            if not isinstance(reference, str):
                break
            schema = self._root
            for part in reference.removeprefix("#").strip("/").split("/"):
                schema = schema.get(part, {}) if isinstance(schema, dict) and part else schema
        return schema if isinstance(schema, dict) else {}

    def _object(self, schema: JsonObject, name: str, depth: int) -> JsonObject:
        properties = schema.get("properties") or {}
        return {
            key: self.value(part, name=key, depth=depth + 1) for key, part in properties.items()
        }

    def _array(self, schema: JsonObject, name: str, depth: int) -> list[Any]:
        count = min(max(int(schema.get("minItems", 1)), 0), 20)
        items = schema.get("items") or {"type": "string"}
        return [self.value(items, name=name, depth=depth + 1) for _ in range(count)]

    def _integer(self, schema: JsonObject, name: str, depth: int) -> int:
        return int(self._number(schema, name, depth))

    def _number(self, schema: JsonObject, name: str, depth: int) -> float:
        lowest = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        highest = schema.get("maximum", max(lowest, 1))
        return float(min(max(len(self._text(name)), lowest), highest))

    def _string(self, schema: JsonObject, name: str, depth: int) -> str:
        formats = {
            "date": "2026-01-31",
            "date-time": "2026-01-31T12:00:00Z",
            "email": "someone@example.com",
            "uri": "https://example.com/",
            "uuid": "00000000-0000-4000-8000-000000000000",
        }
        text = formats.get(str(schema.get("format")), self._text(name))
        return text[: int(schema.get("maxLength", len(text)))]


def _type(schema: JsonObject) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), "null")
    return str(kind or ("object" if "properties" in schema else "string"))
