"""From the text of an expression to its tree, and what is said of a text that has none."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from jmespath.exceptions import (
    IncompleteExpressionError,
    JMESPathError,
    LexerError,
    ParseError,
)
from jmespath.lexer import Lexer
from jmespath.parser import Parser

from core.expressions.checks import check_brackets
from core.expressions.errors import shorten
from core.json import strict


class _Lexer(Lexer):
    """JMESPath's lexer without the deprecated form that reads `word` as the text 'word'."""

    _position: int
    _consume_until: Callable[[str], str]

    def _consume_literal(self) -> Any:
        start = self._position
        lexeme = self._consume_until("`").replace("\\`", "`")
        try:
            value = strict.parse(lexeme)
        except strict.JSONRefused as error:
            why = str(error).rstrip(".")
            raise LexerError(
                lexer_position=start,
                lexer_value=lexeme,
                message="what stands in backticks must be JSON; write a text in single quotes"
                f" ({why})",
            ) from None
        return {"type": "literal", "value": value, "start": start, "end": self._position - start}


class ExpressionParser(Parser):
    """JMESPath's parser, with bounded nesting and with `!a.b` read as not (a.b)."""

    _expression: Callable[[], Any]
    _lookahead_token: Callable[[int], Any]

    # The library reads (!a).b, which is always null: a condition that never holds.
    BINDING_POWER: ClassVar[dict[str, int]] = {**Parser.BINDING_POWER, "not": 8}

    def read(self, source: str) -> Any:
        """Give the tree of an expression."""
        self._tokens = list(_Lexer().tokenize(source))
        self._index = 0
        check_brackets(self._tokens)
        tree = self._expression()
        token = self._lookahead_token(0)
        if token["type"] != "eof":
            raise ParseError(token["start"], token["value"], token["type"])
        return tree


def explain(source: str, error: JMESPathError) -> str:
    ends_early = isinstance(error, ParseError) and error.lex_position >= len(source)
    if ends_early or isinstance(error, IncompleteExpressionError):
        return f"The expression {shorten(source)} is incomplete."
    if isinstance(error, LexerError):
        if str(error.lexer_value).startswith("$"):
            return (
                f"The expression {shorten(source)} has a '$' inside; '$.' stands only at the very "
                "beginning: write input.name, not $.input.name."
            )
        return (
            f"The expression {shorten(source)} cannot be read at character "
            f"{error.lexer_position + 1}: {error.message}.{_dash_advice(source)}"
        )
    if isinstance(error, ParseError):
        return (
            f"The expression {shorten(source)} cannot be read at character "
            f"{error.lex_position + 1}: unexpected '{error.token_value}'.{_dash_advice(source)}"
        )
    return f"The expression {shorten(source)} cannot be read: {error}"


def _dash_advice(source: str) -> str:
    if re.search(r"\bsteps\.\w+-", source):
        return ' Write a step id with dashes in double quotes: steps."my-step".'
    return ""
