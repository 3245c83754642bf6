"""Templates: JSON values with expressions in them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from core.expressions.budget import EvaluationBudget, Recorded
from core.expressions.compiler import Expression, compile_expression
from core.expressions.errors import ExpressionError
from core.expressions.values import MAX_RESULT_BYTES, json_size
from core.suggestions import few_suggestions

MAX_TEMPLATE_SECONDS = 1.0
MAX_TEMPLATE_DEPTH = 32

Path = str

_Renderer = Callable[[Mapping[str, Any], EvaluationBudget], Any]

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class _Part(NamedTuple):
    """A compiled piece of a template: a constant, or something to render."""

    constant: Any
    render: _Renderer | None


class Template:
    """A JSON value whose texts that start with `$.` are expressions."""

    __slots__ = ("_part", "expressions", "source")

    def __init__(
        self, source: Any, part: _Part, expressions: tuple[tuple[Path, Expression], ...]
    ) -> None:
        self.source = source
        self._part = part
        self.expressions = expressions

    def __repr__(self) -> str:
        return f"Template({self.source!r})"

    @property
    def is_constant(self) -> bool:
        """Whether it renders to the same value over every scope."""
        return self._part.render is None

    def render(self, scope: Mapping[str, Any], recorded: Recorded) -> Any:
        """Give the value over `scope`; raises ExpressionError with the failing part's `path`."""
        render = self._part.render
        return self._part.constant if render is None else render(scope, EvaluationBudget(recorded))


def compile_template(value: Any) -> Template:
    """Compile every expression of a template.

    Raises ExpressionError; its details' `errors` map the path of each bad expression to a sentence.
    """
    compiler = _TemplateCompiler()
    with few_suggestions():
        part = compiler.compile(value, "", 0)
    if compiler.errors:
        path, sentence = next(iter(compiler.errors.items()))
        raise ExpressionError(f"{path}: {sentence}" if path else sentence, errors=compiler.errors)
    return Template(value, part, tuple(compiler.expressions))


class _TemplateCompiler:
    def __init__(self) -> None:
        self.expressions: list[tuple[Path, Expression]] = []
        self.errors: dict[Path, str] = {}

    def compile(self, value: Any, path: Path, depth: int) -> _Part:
        if depth > MAX_TEMPLATE_DEPTH:
            self.errors[path] = f"The value is nested more than {MAX_TEMPLATE_DEPTH} levels deep."
        elif isinstance(value, str):
            return self._text(value, path)
        elif isinstance(value, dict):
            parts = {
                key: self.compile(child, join_path(path, key), depth + 1)
                for key, child in value.items()
            }
            return _container(value, {key: part.constant for key, part in parts.items()}, parts)
        elif isinstance(value, list):
            elements = [
                self.compile(child, f"{path}[{index}]", depth + 1)
                for index, child in enumerate(value)
            ]
            constants = [part.constant for part in elements]
            return _container(value, constants, dict(enumerate(elements)))
        return _Part(value, None)

    def _text(self, value: str, path: Path) -> _Part:
        if value.startswith("$$."):
            return _Part(value[1:], None)
        if not value.startswith("$."):
            return _Part(value, None)
        try:
            expression = compile_expression(value)
        except ExpressionError as error:
            self.errors[path] = error.message
            return _Part(None, None)
        self.expressions.append((path, expression))
        return _Part(None, _leaf(expression, path))


def join_path(path: Path, key: object) -> Path:
    """Extend the path of an object by one of its keys: `steps[2]` and `next` to `steps[2].next`."""
    name = str(key)
    if not _PLAIN_NAME.match(name):
        return f"{path}[{json.dumps(name[:100])}]"
    return f"{path}.{name}" if path else name


def _leaf(expression: Expression, path: Path) -> _Renderer:
    def render(scope: Mapping[str, Any], run: EvaluationBudget) -> Any:
        run.path, run.drawn = path, 0
        try:
            value = expression.evaluate_within(scope, run)
            _charge(run, value)
        except ExpressionError as error:
            raise ExpressionError(error.message, **{**error.details, "path": path}) from None
        return value

    return render


def _charge(run: EvaluationBudget, value: Any) -> None:
    if isinstance(value, (str, list, dict)):
        run.size += json_size(value, MAX_RESULT_BYTES)
        if run.size > MAX_RESULT_BYTES:
            raise ExpressionError("The template's result is larger than 1 MiB; select less.")
    if run.seconds > MAX_TEMPLATE_SECONDS:
        raise ExpressionError("The template's expressions took more than a second together.")


def _container(source: Any, constants: Any, parts: dict[Any, _Part]) -> _Part:
    """Compile a dict or list: constant, or copied with its moving parts filled in."""
    moving = [(key, part.render) for key, part in parts.items() if part.render is not None]
    if not moving:
        unchanged = all(part.constant is source[key] for key, part in parts.items())
        return _Part(source if unchanged else constants, None)

    def render(scope: Mapping[str, Any], run: EvaluationBudget) -> Any:
        result = constants.copy()
        for key, renderer in moving:
            result[key] = renderer(scope, run)
        return result

    return _Part(None, render)
