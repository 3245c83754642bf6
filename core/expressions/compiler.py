"""Expressions: compiled once, evaluated over many scopes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jmespath.exceptions import JMESPathError, JMESPathTypeError

from core.expressions.budget import EvaluationBudget, Recorded
from core.expressions.checks import check_tree
from core.expressions.dependencies import plain_fields, references_of
from core.expressions.errors import ExpressionError, shorten
from core.expressions.interpreter import Interpreter
from core.expressions.syntax import ExpressionParser, explain
from core.expressions.values import bounded, is_false, json_type
from core.suggestions import either

MAX_TEXT = 1_000


class Expression:
    """A checked expression. `references` are the paths that it reads from the scope."""

    __slots__ = ("_fields", "_tree", "references", "text")

    def __init__(self, text: str, tree: Any) -> None:
        self.text = text
        self._tree = tree
        self._fields = plain_fields(tree)
        self.references = references_of(tree)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __reduce__(self) -> tuple[Any, ...]:
        return compile_expression, (self.text,)

    @property
    def is_plain(self) -> bool:
        """Whether it only names a value, as a.b.c does."""
        return self._fields is not None

    @property
    def roots(self) -> frozenset[str]:
        """The names of the scope that this reads: input, context, steps, ..."""
        return frozenset(path[0] for path in self.references)

    @property
    def step_ids(self) -> frozenset[str]:
        """The steps that this reads, as written (dashes may stand as underscores)."""
        return frozenset(path[1] for path in self.references if path[0] == "steps" and path[1:])

    def evaluate(self, scope: Mapping[str, Any], recorded: Recorded) -> Any:
        """Give the value over `scope`; raises ExpressionError."""
        if self._fields is not None:
            return bounded(_walk(scope, self._fields))
        return self.evaluate_within(scope, EvaluationBudget(recorded))

    def truth(self, scope: Mapping[str, Any], recorded: Recorded) -> bool:
        """Return whether a value is true for JMESPath: not null, false, or empty.

        0 is true.
        """
        return not is_false(self.evaluate(scope, recorded))

    def evaluate_within(self, scope: Mapping[str, Any], run: EvaluationBudget) -> Any:
        """Give the value over `scope`, at the cost of `run`; raises ExpressionError."""
        if self._fields is not None:
            return bounded(_walk(scope, self._fields))
        run.begin()
        try:
            return bounded(Interpreter(run).visit(self._tree, scope))
        except ExpressionError as error:
            raise self._failed(error) from None
        except RecursionError:
            raise self._failed("the value is nested too deeply.") from None
        except JMESPathTypeError as error:
            # Its own text would repeat the value.
            raise self._failed(
                f"{error.function_name}() needs {either(error.expected_types)}, and was given "
                f"{error.actual_type}."
            ) from None
        except (JMESPathError, ArithmeticError, TypeError, ValueError, AttributeError) as error:
            raise self._failed(error) from error
        finally:
            run.end()

    def _failed(self, reason: object) -> ExpressionError:
        return ExpressionError(f"{shorten(self.text)}: {reason}", expression=self.text)


def _walk(value: Any, fields: tuple[str, ...]) -> Any:
    for name in fields:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def compile_expression(text: str) -> Expression:
    """Read and check an expression; the leading `$.` is optional. Raises ExpressionError."""
    if not isinstance(text, str):
        raise ExpressionError(f"An expression must be a text, not {json_type(text)}.")
    return _compile(text)


@lru_cache(maxsize=4096)
def _compile(text: str) -> Expression:
    if len(text) > MAX_TEXT:
        raise ExpressionError(f"The expression has {len(text)} characters; {MAX_TEXT} is the most.")
    source = text.strip().removeprefix("$.").strip()
    if not source:
        raise ExpressionError("The expression is empty; write for example $.input.name.")
    try:
        tree = ExpressionParser().read(source)
        check_tree(tree)
    except JMESPathError as error:
        raise ExpressionError(explain(source, error), expression=text) from None
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ExpressionError(
            f"The expression {shorten(source)} cannot be read; it may be nested too deeply.",
            expression=text,
        ) from error
    return Expression(text, tree)
