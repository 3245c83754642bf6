"""What may stand in an expression: refused before anything is evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from core.expressions.errors import ExpressionError
from core.expressions.functions import BoundedFunctions
from core.expressions.values import is_too_deep
from core.suggestions import did_you_mean

MAX_DEPTH = 20


def check_brackets(tokens: list[Any]) -> None:
    # Before parsing: the parser recurses once per bracket.
    depth = 0
    for token in tokens:
        kind = token["type"]
        depth += kind in ("lparen", "lbracket", "lbrace", "filter")
        depth -= kind in ("rparen", "rbracket", "rbrace")
        if depth > MAX_DEPTH:
            raise too_deep()


def too_deep() -> ExpressionError:
    return ExpressionError(f"The expression is nested more than {MAX_DEPTH} levels deep.")


def check_tree(tree: Any) -> None:
    level = [(tree, False)]
    for _ in range(MAX_DEPTH):
        level = [pair for node, is_argument in level for pair in _check_node(node, is_argument)]
        if not level:
            return
    raise too_deep()


def _check_node(node: Any, is_argument: bool) -> Iterator[tuple[Any, bool]]:
    """Check one node and give its children, with whether they are arguments of a function."""
    kind = node["type"]
    if kind == "literal" and is_too_deep(node["value"], MAX_DEPTH):
        raise too_deep()
    if kind == "function_expression":
        _check_call(node["value"], len(node["children"]))
    elif kind == "expref" and not is_argument:
        raise ExpressionError("'&' only stands before an argument of a function such as sort_by().")
    elif kind == "slice" and node["children"][2] == 0:
        raise ExpressionError("The step of a slice cannot be 0.")
    if isinstance(node.get("value"), str):
        _check_text(node["value"])
    for child in node.get("children", ()):
        if isinstance(child, dict):
            yield child, kind == "function_expression"


def _check_call(name: str, count: int) -> None:
    table = BoundedFunctions.FUNCTION_TABLE
    if name not in table:
        raise ExpressionError(f"There is no function {name}(){did_you_mean(name, table)}")
    arguments = table[name]["signature"]
    variadic = bool(arguments) and arguments[-1].get("variadic", False)
    least = len(arguments) - (name == "format")
    if count < least or (count > least and not variadic):
        raise ExpressionError(
            f"{name}() takes {'at least ' if variadic else ''}{least} "
            f"argument{'' if least == 1 else 's'}, and was given {count}."
        )


def _check_text(text: str) -> None:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ExpressionError("A text in the expression has a character that cannot be stored.")
