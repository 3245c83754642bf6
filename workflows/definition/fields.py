"""Reads single fields: collects errors at their paths, and goes on."""

from __future__ import annotations

from typing import Any

from core.expressions import (
    Expression,
    ExpressionError,
    Template,
    compile_expression,
    compile_template,
    join_path,
)
from workflows.definition.findings import Findings


class FieldReader(Findings):
    """Reads fields."""

    def keys(
        self, document: dict[str, Any], path: str, allowed: tuple[str, ...], what: str
    ) -> None:
        """Refuse every key but the allowed ones; `what` begins the sentence."""
        for key in document:
            if key not in allowed:
                sentence = f"{what} has no '{str(key)[:100]}'{self.suggest(key, allowed)}"
                self.refuse(join_path(path, key), sentence)

    def text(
        self, document: dict[str, Any], key: str, path: str, *, longest: int | None
    ) -> str | None:
        """Read a text without its surrounding blanks; None where it is absent or refused."""
        value = document.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            self.refuse(f"{path}.{key}", f"'{key}' must be a text, not {show(value)}.")
        elif longest is not None and len(value) > longest:
            self.refuse(f"{path}.{key}", f"'{key}' is longer than {longest} characters.")
        else:
            return value.strip()
        return None

    def flag(self, document: dict[str, Any], key: str, path: str) -> bool:
        value = document.get(key)
        return bool(value is not None and self.boolean(value, f"{path}.{key}"))

    def boolean(self, value: Any, path: str) -> bool | None:
        if isinstance(value, bool):
            return value
        self.refuse(path, f"This must be true or false, not {show(value)}.")
        return None

    def whole_number(self, value: Any, path: str, *, least: int, most: int) -> int | None:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.refuse(path, f"This must be a whole number from {least} to {most}.")
        return None

    def seconds(self, value: Any, path: str, *, least: float, most: float) -> float | None:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and least <= value <= most:
            return float(value)
        self.refuse(path, f"This must be a number of seconds from {least:g} to {most:.12g}.")
        return None

    def word(self, value: Any, path: str, allowed: tuple[str, ...]) -> str | None:
        """Read one of the allowed words, in any case."""
        if isinstance(value, str) and value.strip().upper() in allowed:
            return value.strip().upper()
        close = self.suggest(str(value), allowed) if isinstance(value, str) else "."
        self.refuse(path, f"{show(value)} is none of {', '.join(allowed)}{close}")
        return None

    def expression(self, value: Any, path: str) -> Expression | None:
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(
                path, f"This must be an expression such as input.urgent, not {show(value)}."
            )
            return None
        try:
            return compile_expression(value)
        except ExpressionError as error:
            self.refuse(path, error.message)
            return None

    def output(self, document: dict[str, Any], path: str) -> Template | None:
        """Read what becomes an output: an object, a list, or an expression that gives one."""
        value = document["output"]
        if isinstance(value, (dict, list)) or is_expression(value):
            return self.template(document, "output", path)
        self.refuse(
            join_path(path, "output"),
            f"'output' must be an object, a list, or an expression such as $.input, not "
            f"{show(value)}.",
        )
        return None

    def template(self, document: dict[str, Any], key: str, path: str) -> Template | None:
        key_path = join_path(path, key)
        try:
            return compile_template(document[key])
        except ExpressionError as error:
            for inner, sentence in error.details["errors"].items():
                self.refuse(extend_path(key_path, inner), sentence)
            return None


def is_expression(value: Any) -> bool:
    """Return whether a template's value is a single expression."""
    return isinstance(value, str) and value.startswith("$.")


def extend_path(path: str, inner: str) -> str:
    """Put the path of a part of a template behind the template's own."""
    return f"{path}{inner}" if not inner or inner.startswith("[") else f"{path}.{inner}"


def show(value: Any) -> str:
    """Write a value into a sentence, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a very large number"
    text = f"'{value}'" if isinstance(value, str) else str(value)
    return text if len(text) <= 100 else f"{text[:97]}...'"
