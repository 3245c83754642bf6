"""Reads the fields of a request's body, and refuses what does not fit in a provider's words."""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from reference_services.model_server.errors import invalid

JsonObject = dict[str, Any]


class BodyFields:
    """A JSON object; every reader raises LocalProviderError, which names the field."""

    def __init__(self, body: JsonObject) -> None:
        self._body = body

    def __contains__(self, name: str) -> bool:
        return self._body.get(name) is not None

    def raw(self, name: str) -> Any:
        return self._body.get(name)

    def required(self, name: str) -> Any:
        if name not in self:
            raise invalid(
                f"Missing required parameter: '{name}'.", name, "missing_required_parameter"
            )
        return self._body[name]

    def typed(self, name: str, kind: type | tuple[type, ...], expected: str, default: Any) -> Any:
        value = self._body.get(name)
        if value is None:
            return default
        is_wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
        if is_wrong:
            raise invalid(
                f"Invalid type for '{name}': expected {expected}, but got"
                f" {type(value).__name__} instead.",
                name,
                "invalid_type",
            )
        return value

    def text(self, name: str, default: str = "") -> str:
        return str(self.typed(name, str, "a string", default))

    def flag(self, name: str) -> bool:
        return bool(self.typed(name, bool, "a boolean", False))

    def table(self, name: str) -> JsonObject:
        return dict(self.typed(name, dict, "an object", {}))

    def rows(self, name: str) -> list[Any]:
        return list(self.typed(name, list, "an array", []))

    def integer(self, name: str, *, low: int, high: int, default: int | None = None) -> int | None:
        value = self.typed(name, int, "an integer", default)
        return None if value is None else int(_within(name, value, low, high))

    def number(self, name: str, *, low: float, high: float, default: float) -> float:
        value = self.typed(name, (int, float), "a number", default)
        return float(_within(name, value, low, high))

    def texts(self, name: str, *, most: int) -> tuple[str, ...]:
        """Return a string, or a list of some, as a tuple."""
        value = self.typed(name, (str, list), "a string or an array of strings", [])
        texts = [value] if isinstance(value, str) else value
        if len(texts) > most or not all(isinstance(text, str) for text in texts):
            raise invalid(f"Invalid '{name}': up to {most} strings are allowed.", name)
        return tuple(texts)


def _within(name: str, value: float, low: float, high: float) -> float:
    if low <= value <= high:
        return value
    side = "minimum" if value < low else "maximum"
    kind = "integer" if isinstance(value, int) else "decimal"
    code = f"{kind}_{'below_min' if value < low else 'above_max'}_value"
    raise invalid(
        f"Invalid '{name}': {kind} {'below' if value < low else 'above'} {side} value. Expected a"
        f" value {'>=' if value < low else '<='} {low if value < low else high}, but got {value}"
        " instead.",
        name,
        code,
    )


def checked_schema(schema: JsonObject, param: str) -> JsonObject:
    """Return a JSON schema that is one. Raises: LocalProviderError."""
    try:
        jsonschema_rs.validator_for(schema)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        raise invalid(f"Invalid schema in '{param}': {str(error)[:200]}", param) from error
    return schema


def content_text(content: Any, param: str) -> tuple[str, int]:
    """Return the text of a message's content, a string or parts, and how many pictures it has."""
    if content is None:
        return "", 0
    if isinstance(content, str):
        return content, 0
    if not isinstance(content, list):
        raise invalid(f"Invalid type for '{param}': expected a string or an array.", param)
    texts: list[str] = []
    pictures = 0
    for part in content:
        kind = str(part.get("type")) if isinstance(part, dict) else ""
        if kind in {"image_url", "image"}:
            pictures += 1
        elif kind == "tool_result":
            text, more = content_text(part.get("content"), param)
            texts.append(text)
            pictures += more
        elif kind in {"text", "input_text", "refusal", "thinking"}:
            texts.append(str(part.get("text") or part.get(kind) or ""))
        elif kind == "tool_use":
            texts.append(f"{part.get('name')} {part.get('input')}")
        else:
            raise invalid(
                f"Invalid value: '{kind}'. Supported values are: 'text' and images.", param
            )
    return "\n".join(texts), pictures
