"""The expression language of workflow definitions: bounded JMESPath, and templates of it.

An expression reads a scope (see `build_scope`) and gives a JSON value. It cannot loop, call out,
or cost more than the limits below allow, whoever wrote it. Results share structure with the scope
and with the definition: treat them as read-only.
"""

from __future__ import annotations

import json
import math
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

from jmespath.exceptions import (
    IncompleteExpressionError,
    JMESPathError,
    JMESPathTypeError,
    LexerError,
    ParseError,
)
from jmespath.functions import Functions, signature
from jmespath.lexer import Lexer
from jmespath.parser import Parser
from jmespath.visitor import Options, TreeInterpreter, _Expression

from registry.exceptions import IntegrationError

MAX_TEXT = 1_000
MAX_DEPTH = 20
MAX_RESULT_BYTES = 1 << 20
MAX_SECONDS = 0.1
MAX_TEMPLATE_SECONDS = 1.0
MAX_TEMPLATE_DEPTH = 32
MAX_VISITS = 500_000
# A longer list cannot be part of a result within MAX_RESULT_BYTES.
MAX_ELEMENTS = MAX_RESULT_BYTES // 2
# Sorting compares strings in one uninterruptible call: bound what it may have to read.
MAX_COMPARED_CHARACTERS = 4 << 20

ABSENT: Any = object()
ROOT_NAMES = ("input", "context", "steps", "execution", "item", "index", "output")

# CPU time of this thread: a busy machine must not make an expression fail.
_clock = time.thread_time
_UUID_NAMESPACE = uuid.UUID("6f1c1f0e-6f0b-5c5e-9d0c-2f4f6f6a7c11")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class ExpressionError(IntegrationError):
    """An expression that cannot be read, or that failed on the values it was given."""

    code = "expression_error"
    status_code = 400
    permanent = True


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where `now()` and `uuid()` come from, so that a re-run sees the same values."""

    now: datetime
    seed: str


# --- Sizes -----------------------------------------------------------------------------------


def json_size(value: Any, limit: int) -> int:
    """Return about how many bytes `value` has as JSON; stops counting once past `limit`.

    Counts shared parts as often as they are written, without recursion.
    """
    size = 0
    stack = [value]
    while stack and size <= limit:
        part = stack.pop()
        if isinstance(part, str):
            size += 2 + (len(part) if part.isascii() else _utf8_length(part))
        elif isinstance(part, dict):
            size += 2 + 4 * len(part) + sum(map(len, part))
            stack.extend(part.values())
        elif isinstance(part, list):
            size += 2 + len(part)
            if size <= limit:
                stack.extend(part)
        elif isinstance(part, int) and part.bit_length() > 64:
            size += part.bit_length() // 3
        else:
            size += 5
    return size


def _utf8_length(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _bounded(value: Any) -> Any:
    """Return `value` if it may be a result; raises ExpressionError when it is too large."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, str) and len(value) < MAX_RESULT_BYTES // 4:
        return value
    if json_size(value, MAX_RESULT_BYTES) > MAX_RESULT_BYTES:
        raise _too_large()
    return value


def _too_large() -> ExpressionError:
    return ExpressionError("The result is larger than 1 MiB; select less.")


# --- Evaluation ------------------------------------------------------------------------------


class _Run:
    """What one render has used up so far."""

    __slots__ = ("deadline", "drawn", "path", "recorded", "seconds", "size", "visits")

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded
        self.path = ""
        self.drawn = 0
        self.visits = 0
        self.deadline = 0.0
        self.seconds = 0.0
        self.size = 0

    def check(self) -> None:
        if self.visits > MAX_VISITS or _clock() > self.deadline:
            raise ExpressionError(
                "The expression took more than 100 ms; select less before computing."
            )

    def draw_uuid(self) -> str:
        name = f"{self.recorded.seed}:{self.path}:{self.drawn}"
        self.drawn += 1
        return str(uuid.uuid5(_UUID_NAMESPACE, name))


class _Interpreter(TreeInterpreter):
    """JMESPath's interpreter with a deadline, bounded lists and total comparisons."""

    def __init__(self, run: _Run) -> None:
        super().__init__(Options(custom_functions=_BoundedFunctions(run)))
        self._run = run

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        run = self._run
        run.visits += 1
        if not run.visits & 63:
            run.check()
        return _VISITS[node["type"]](self, node, *args)

    def visit_comparator(self, node: Any, value: Any) -> Any:
        left = self.visit(node["children"][0], value)
        right = self.visit(node["children"][1], value)
        operator = node["value"]
        if operator in ("eq", "ne"):
            self._run.check()
            return _equals(left, right) is (operator == "eq")
        if _json_type(left) != _json_type(right) or _json_type(left) not in ("number", "string"):
            return None
        return self.COMPARATOR_FUNC[operator](left, right)

    def visit_flatten(self, node: Any, value: Any) -> Any:
        base = self.visit(node["children"][0], value)
        if not isinstance(base, list):
            return None
        self._run.check()
        merged: list[Any] = []
        for element in base:
            if isinstance(element, list):
                merged.extend(element)
            else:
                merged.append(element)
            if len(merged) > MAX_ELEMENTS:
                raise _too_large()
        return merged

    def visit_slice(self, node: Any, value: Any) -> Any:
        self._run.check()
        return super().visit_slice(node, value)

    def visit_value_projection(self, node: Any, value: Any) -> Any:
        self._run.check()
        return super().visit_value_projection(node, value)


_VISITS: dict[str, Callable[..., Any]] = {
    name.removeprefix("visit_"): getattr(_Interpreter, name)
    for name in dir(_Interpreter)
    if name.startswith("visit_")
}


def _equals(left: Any, right: Any) -> bool:
    """JSON equality: 1 is not true, and comparing costs no more than a bounded walk."""
    kind = _json_type(left)
    if left is right or kind != _json_type(right):
        return left is right
    if kind in ("array", "object"):
        if len(left) != len(right):
            return False
        if json_size(left, MAX_RESULT_BYTES) > MAX_RESULT_BYTES:
            raise ExpressionError("A value of more than 1 MiB cannot be compared; select less.")
    return bool(left == right)


_JSON_TYPES: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
    _Expression: "expref",
}


def _json_type(value: Any) -> str:
    return _JSON_TYPES.get(type(value)) or ("object" if isinstance(value, dict) else "unknown")


def _is_false(value: Any) -> bool:
    return value is None or value is False or value in ("", [], {})


# --- Functions -------------------------------------------------------------------------------

_ANY: Any = {"types": []}
_ANY_VARIADIC: Any = {"types": [], "variadic": True}
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([A-Za-z0-9_]*)\}|[{}]")


class _BoundedFunctions(Functions):
    """JMESPath's functions, bounded, and the ones that workflows need besides."""

    def __init__(self, run: _Run) -> None:
        self._run = run

    def call_function(self, function_name: str, resolved_args: Iterable[Any]) -> Any:
        self._run.check()
        spec = self.FUNCTION_TABLE[function_name]
        arguments = list(resolved_args)
        for position, value in enumerate(arguments):
            types = spec["signature"][min(position, len(spec["signature"]) - 1)]["types"]
            _check_argument(function_name, position, value, types)
        result = spec["function"](self, *arguments)
        if isinstance(result, float) and not math.isfinite(result):
            raise ExpressionError(f"{function_name}() gives a number that is out of range.")
        return result

    def _create_key_func(self, expref: Any, allowed_types: list[str], function_name: str) -> Any:
        seen = 0

        def key(element: Any) -> Any:
            nonlocal seen
            result = expref.visit(expref.expression, element)
            if _json_type(result) not in allowed_types:
                raise ExpressionError(
                    f"{function_name}() needs keys that are all {_either(allowed_types)}; "
                    f"one is {_json_type(result)}."
                )
            if isinstance(result, str):
                seen += len(result)
                _check_compared(seen)
            return result

        return key

    @signature(_ANY)
    def _func_to_number(self, arg: Any) -> Any:
        if _json_type(arg) == "number":
            return arg
        if not isinstance(arg, str) or len(arg) > 400:
            return None
        try:
            number = json.loads(arg)
        except ValueError:
            return None
        is_number = _json_type(number) == "number" and math.isfinite(number)
        return number if is_number else None

    @signature(_ANY)
    def _func_to_string(self, arg: Any) -> str:
        return _as_text(arg)

    @signature({"types": ["array", "string"]}, _ANY)
    def _func_contains(self, subject: Any, search: Any) -> bool:
        if isinstance(subject, str):
            return isinstance(search, str) and search in subject
        for count, element in enumerate(subject):
            if not count & 63:
                self._run.check()
            if _equals(element, search):
                return True
        return False

    @signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: str, array: list[str]) -> str:
        return _join(array, separator)

    @signature({"types": ["array-string", "array-number"]})
    def _func_sort(self, arg: list[Any]) -> list[Any]:
        return sorted(_comparable(arg))

    @signature({"types": ["array-number", "array-string"]})
    def _func_max(self, arg: list[Any]) -> Any:
        return max(_comparable(arg), default=None)

    @signature({"types": ["array-number", "array-string"]})
    def _func_min(self, arg: list[Any]) -> Any:
        return min(_comparable(arg), default=None)

    @signature(_ANY_VARIADIC)
    def _func_concat(self, *arguments: Any) -> Any:
        """Join lists into one list, anything else into one string; null counts as empty."""
        if not any(isinstance(argument, list) for argument in arguments):
            return _join([_as_text(part) for part in arguments if part is not None])
        merged: list[Any] = []
        for argument in arguments:
            if argument is not None and not isinstance(argument, list):
                raise ExpressionError(
                    f"concat() joins either lists or texts; one argument is {_json_type(argument)}."
                )
            merged.extend(argument or ())
            if len(merged) > MAX_ELEMENTS:
                raise _too_large()
        return merged

    @signature(_ANY_VARIADIC)
    def _func_coalesce(self, *arguments: Any) -> Any:
        """Give the first argument that is not null."""
        return next((argument for argument in arguments if argument is not None), None)

    @signature({"types": ["number"], "variadic": True})
    def _func_add(self, *arguments: Any) -> Any:
        return sum(arguments)

    @signature({"types": ["number"]}, {"types": ["number"]})
    def _func_subtract(self, left: Any, right: Any) -> Any:
        return left - right

    @signature({"types": ["string"]}, _ANY_VARIADIC)
    def _func_format(self, pattern: str, *arguments: Any) -> str:
        """Fill `{}`, `{0}` or, given one object, `{name}`; `{{` and `}}` stand for braces."""
        return _format(pattern, arguments)

    @signature({"types": ["array"]})
    def _func_unique(self, array: list[Any]) -> list[Any]:
        """Drop later duplicates, keeping the order."""
        seen: dict[Any, Any] = {}
        for count, element in enumerate(array):
            if not count & 63:
                self._run.check()
            seen.setdefault(_identity(element), element)
        return list(seen.values())

    @signature({"types": ["array"]}, {"types": ["string", "expref"]})
    def _func_group_by_key(self, array: list[Any], key: Any) -> dict[str, list[Any]]:
        """Give an object of lists, by the text of each element's key; without one under `null`."""
        groups: dict[str, list[Any]] = {}
        for count, element in enumerate(array):
            if not count & 63:
                self._run.check()
            groups.setdefault(_group_name(element, key), []).append(element)
        return groups

    @signature()
    def _func_now(self) -> str:
        moment = self._run.recorded.now.astimezone(UTC)
        return moment.isoformat().replace("+00:00", "Z")

    @signature()
    def _func_uuid(self) -> str:
        return self._run.draw_uuid()


def _check_argument(name: str, position: int, value: Any, types: list[str]) -> None:
    kind = _json_type(value)
    allowed = {accepted.partition("-")[0] for accepted in types}
    if (kind not in allowed) if types else kind in ("expref", "unknown"):
        expected = _either(sorted(allowed)) if types else "a value"
        raise ExpressionError(
            f"{name}() takes {expected} as argument {position + 1}, and was given {kind}."
        )
    elements = [accepted.partition("-")[2] for accepted in types if "-" in accepted]
    if elements and kind == "array":
        kinds = set(map(_json_type, value))
        if len(kinds) > 1 or not kinds <= set(elements):
            raise ExpressionError(
                f"{name}() takes a list whose elements are all {_either(elements)} as argument "
                f"{position + 1}; this one holds {', '.join(sorted(kinds))}."
            )


def _either(names: Iterable[str]) -> str:
    return " or ".join(names)


def _check_compared(characters: int) -> None:
    if characters > MAX_COMPARED_CHARACTERS:
        raise ExpressionError("The texts to compare are longer than 4 MiB together; select less.")


def _comparable(array: list[Any]) -> list[Any]:
    if array and isinstance(array[0], str):
        _check_compared(sum(map(len, array)))
    return array


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(_bounded(value), ensure_ascii=False, separators=(",", ":"))


def _join(parts: list[str], separator: str = "") -> str:
    total = sum(map(len, parts)) + len(separator) * max(len(parts) - 1, 0)
    if total > MAX_RESULT_BYTES:
        raise _too_large()
    return separator.join(parts)


def _format(pattern: str, arguments: tuple[Any, ...]) -> str:
    names = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], dict) else None
    parts: list[str] = []
    position = end = size = 0
    for match in _PLACEHOLDER.finditer(pattern):
        parts.append(pattern[end : match.start()])
        end = match.end()
        name = match.group(1)
        if name is None:
            parts.append(_brace(match.group()))
        else:
            value = _pick(name or str(position), arguments, names)
            position += not name
            parts.append("" if value is None else _as_text(value))
        size += len(parts[-1])
        if size > MAX_RESULT_BYTES:
            raise _too_large()
    return _join([*parts, pattern[end:]])


def _brace(text: str) -> str:
    if len(text) == 1:
        raise ExpressionError(f"format() met a single '{text}'; write '{text}{text}' for a brace.")
    return text[0]


def _pick(name: str, arguments: tuple[Any, ...], names: Any) -> Any:
    if not name.isdecimal():
        if names is None:
            raise ExpressionError(f"format() needs one object as argument 2 to fill '{{{name}}}'.")
        return names.get(name)
    if len(name) > 3 or int(name) >= len(arguments):
        raise ExpressionError(f"format() was given {len(arguments)} values; {{{name}}} has none.")
    return arguments[int(name)]


def _identity(value: Any) -> Any:
    """A hashable that two values share exactly when they are equal as JSON."""
    if isinstance(value, (dict, list)):
        return json.dumps(_bounded(value), sort_keys=True)
    return _json_type(value), value


def _group_name(element: Any, key: Any) -> str:
    if isinstance(key, str):
        found = element.get(key) if isinstance(element, dict) else None
    else:
        found = key.visit(key.expression, element)
    return _as_text(found)


# --- Compiling -------------------------------------------------------------------------------


class Expression:
    """A checked expression. `references` are the paths that it reads from the scope."""

    __slots__ = ("_fields", "_tree", "references", "text")

    def __init__(self, text: str, tree: Any) -> None:
        self.text = text
        self._tree = tree
        self._fields = _plain_fields(tree)
        found: set[tuple[str, ...]] = set()
        _collect(tree, (), found)
        self.references: frozenset[tuple[str, ...]] = frozenset(
            path for path in found if not any(_extends(other, path) for other in found)
        )

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __reduce__(self) -> tuple[Any, ...]:
        return compile_expression, (self.text,)

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
            return _bounded(_walk(scope, self._fields))
        return self._evaluate(scope, _Run(recorded))

    def truth(self, scope: Mapping[str, Any], recorded: Recorded) -> bool:
        """Whether the value is true for JMESPath: not null, false, or an empty text or container.

        0 is true.
        """
        return not _is_false(self.evaluate(scope, recorded))

    def _evaluate(self, scope: Mapping[str, Any], run: _Run) -> Any:
        if self._fields is not None:
            return _bounded(_walk(scope, self._fields))
        started = _clock()
        run.visits = 0
        run.deadline = started + MAX_SECONDS
        try:
            return _bounded(_Interpreter(run).visit(self._tree, scope))
        except ExpressionError as error:
            raise self._failed(error) from None
        except RecursionError:
            raise self._failed("the value is nested too deeply.") from None
        except JMESPathTypeError as error:
            # Its own text would repeat the value.
            raise self._failed(
                f"{error.function_name}() needs {_either(error.expected_types)}, and was given "
                f"{error.actual_type}."
            ) from None
        except (JMESPathError, ArithmeticError, TypeError, ValueError, AttributeError) as error:
            raise self._failed(error) from error
        finally:
            run.seconds += _clock() - started

    def _failed(self, reason: object) -> ExpressionError:
        return ExpressionError(f"{_shorten(self.text)}: {reason}", expression=self.text)


def _walk(value: Any, fields: tuple[str, ...]) -> Any:
    for name in fields:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _plain_fields(tree: Any) -> tuple[str, ...] | None:
    """The names of an expression such as a.b.c, which needs no interpreter."""
    if tree["type"] == "field":
        return (tree["value"],)
    if tree["type"] != "subexpression":
        return None
    names: tuple[str, ...] = ()
    for child in tree["children"]:
        inner = _plain_fields(child)
        if inner is None:
            return None
        names += inner
    return names


class _Lexer(Lexer):
    """JMESPath's lexer without the deprecated form that reads `word` as the text 'word'."""

    _position: int
    _consume_until: Callable[[str], str]

    def _consume_literal(self) -> Any:
        start = self._position
        lexeme = self._consume_until("`").replace("\\`", "`")
        try:
            value = json.loads(lexeme)
        except ValueError:
            raise LexerError(
                lexer_position=start,
                lexer_value=lexeme,
                message="what stands in backticks must be JSON; write a text in single quotes",
            ) from None
        return {"type": "literal", "value": value, "start": start, "end": self._position - start}


class _Parser(Parser):
    """JMESPath's parser, with bounded nesting and with `!a.b` read as not (a.b)."""

    _expression: Callable[[], Any]
    _lookahead_token: Callable[[int], Any]

    # The library reads (!a).b, which is always null: a condition that never holds.
    BINDING_POWER: ClassVar[dict[str, int]] = {**Parser.BINDING_POWER, "not": 8}

    def read(self, source: str) -> Any:
        """Give the tree of an expression."""
        self._tokens = list(_Lexer().tokenize(source))
        self._index = 0
        _check_brackets(self._tokens)
        tree = self._expression()
        token = self._lookahead_token(0)
        if token["type"] != "eof":
            raise ParseError(token["start"], token["value"], token["type"])
        return tree


def compile_expression(text: str) -> Expression:
    """Read and check an expression; the leading `$.` is optional. Raises ExpressionError."""
    if not isinstance(text, str):
        raise ExpressionError(f"An expression must be a text, not {_json_type(text)}.")
    return _compile(text)


@lru_cache(maxsize=4096)
def _compile(text: str) -> Expression:
    if len(text) > MAX_TEXT:
        raise ExpressionError(f"The expression has {len(text)} characters; {MAX_TEXT} is the most.")
    source = text.strip().removeprefix("$.").strip()
    if not source:
        raise ExpressionError("The expression is empty; write for example $.input.name.")
    try:
        tree = _Parser().read(source)
        _check_tree(tree)
    except JMESPathError as error:
        raise ExpressionError(_explain(source, error), expression=text) from None
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ExpressionError(
            f"The expression {_shorten(source)} cannot be read; it may be nested too deeply.",
            expression=text,
        ) from error
    return Expression(text, tree)


def _explain(source: str, error: JMESPathError) -> str:
    ends_early = isinstance(error, ParseError) and error.lex_position >= len(source)
    if ends_early or isinstance(error, IncompleteExpressionError):
        return f"The expression {_shorten(source)} is incomplete."
    if isinstance(error, LexerError):
        if str(error.lexer_value).startswith("$"):
            return (
                f"The expression {_shorten(source)} has a '$' inside; '$.' stands only at the very "
                "beginning: write input.name, not $.input.name."
            )
        return (
            f"The expression {_shorten(source)} cannot be read at character "
            f"{error.lexer_position + 1}: {error.message}.{_dash_advice(source)}"
        )
    if isinstance(error, ParseError):
        return (
            f"The expression {_shorten(source)} cannot be read at character "
            f"{error.lex_position + 1}: unexpected '{error.token_value}'.{_dash_advice(source)}"
        )
    return f"The expression {_shorten(source)} cannot be read: {error}"


def _dash_advice(source: str) -> str:
    if re.search(r"\bsteps\.\w+-", source):
        return ' Write a step id with dashes in double quotes: steps."my-step".'
    return ""


def _shorten(text: str) -> str:
    return f"'{text}'" if len(text) <= 80 else f"'{text[:77]}...'"


def _check_brackets(tokens: list[Any]) -> None:
    # Before parsing: the parser recurses once per bracket.
    depth = 0
    for token in tokens:
        kind = token["type"]
        depth += kind in ("lparen", "lbracket", "lbrace", "filter")
        depth -= kind in ("rparen", "rbracket", "rbrace")
        if depth > MAX_DEPTH:
            raise _too_deep()


def _too_deep() -> ExpressionError:
    return ExpressionError(f"The expression is nested more than {MAX_DEPTH} levels deep.")


def _check_tree(tree: Any) -> None:
    level = [(tree, False)]
    for _ in range(MAX_DEPTH):
        level = [pair for node, is_argument in level for pair in _check_node(node, is_argument)]
        if not level:
            return
    raise _too_deep()


def _check_node(node: Any, is_argument: bool) -> Iterator[tuple[Any, bool]]:
    """Check one node and give its children, with whether they are arguments of a function."""
    kind = node["type"]
    if kind == "literal":
        _check_literal(node["value"])
    elif kind == "function_expression":
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
    table = _BoundedFunctions.FUNCTION_TABLE
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


def _check_literal(value: Any) -> None:
    """Refuse what JSON or the database could not hold."""
    stack = [(value, 0)]
    while stack:
        part, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise _too_deep()
        if isinstance(part, dict):
            stack.extend((child, depth + 1) for pair in part.items() for child in pair)
        elif isinstance(part, list):
            stack.extend((child, depth + 1) for child in part)
        elif isinstance(part, str):
            _check_text(part)
        elif isinstance(part, float) and not math.isfinite(part):
            raise ExpressionError("A number in the expression is out of range.")


def _check_text(text: str) -> None:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ExpressionError("A text in the expression has a character that cannot be stored.")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End a sentence: with close matches, or with a full stop."""
    matches = get_close_matches(str(name)[:100], [*known], n=3, cutoff=0.6)
    return f"; did you mean {_either(matches)}?" if matches else "."


# --- References ------------------------------------------------------------------------------


def _extends(path: tuple[str, ...], prefix: tuple[str, ...]) -> bool:
    return len(path) > len(prefix) and path[: len(prefix)] == prefix


def _collect(
    node: Any, current: tuple[str, ...] | None, found: set[tuple[str, ...]]
) -> tuple[str, ...] | None:
    """Evaluate abstractly: follow the path from the scope's root as far as it is known.

    Gives the path of the node's value, or None where it is computed; adds what is read to `found`.
    """
    kind = node["type"]
    children = node.get("children", ())
    if kind == "field":
        return _read(node["value"], current, found)
    if kind in ("current", "identity"):
        return current
    if kind in ("subexpression", "pipe", "index_expression"):
        for child in children:
            current = _collect(child, current, found)
        return current
    if kind in ("projection", "value_projection", "filter_projection"):
        _collect(children[0], current, found)
        current, children = None, children[1:]
    if kind == "expref":
        current = None
    for child in children:
        if isinstance(child, dict):
            _collect(child, current, found)
    return None


def _read(
    name: str, current: tuple[str, ...] | None, found: set[tuple[str, ...]]
) -> tuple[str, ...] | None:
    if current is None:
        return None
    path = (*current, name)
    found.add(path)
    return path


# --- Templates -------------------------------------------------------------------------------

Path = str
_Renderer = Callable[[Mapping[str, Any], _Run], Any]


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
        return self._part.constant if render is None else render(scope, _Run(recorded))


def compile_template(value: Any) -> Template:
    """Compile every expression of a template.

    Raises ExpressionError; its details' `errors` map the path of each bad expression to a sentence.
    """
    compiler = _TemplateCompiler()
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
    def render(scope: Mapping[str, Any], run: _Run) -> Any:
        run.path, run.drawn = path, 0
        try:
            value = expression._evaluate(scope, run)
            _charge(run, value)
        except ExpressionError as error:
            raise ExpressionError(error.message, **{**error.details, "path": path}) from None
        return value

    return render


def _charge(run: _Run, value: Any) -> None:
    if isinstance(value, (str, list, dict)):
        run.size += json_size(value, MAX_RESULT_BYTES)
        if run.size > MAX_RESULT_BYTES:
            raise ExpressionError("The template's result is larger than 1 MiB; select less.")
    if run.seconds > MAX_TEMPLATE_SECONDS:
        raise ExpressionError("The template's expressions took more than a second together.")


def _container(source: Any, constants: Any, parts: dict[Any, _Part]) -> _Part:
    """A dict or list: constant as a whole, or copied with its moving parts filled in."""
    moving = [(key, part.render) for key, part in parts.items() if part.render is not None]
    if not moving:
        unchanged = all(part.constant is source[key] for key, part in parts.items())
        return _Part(source if unchanged else constants, None)

    def render(scope: Mapping[str, Any], run: _Run) -> Any:
        result = constants.copy()
        for key, renderer in moving:
            result[key] = renderer(scope, run)
        return result

    return _Part(None, render)


# --- Scope -----------------------------------------------------------------------------------


class StepOutcomes(dict[str, Any]):
    """Steps by id; an id with dashes is also found with underscores in their place."""

    __slots__ = ("_aliases", "_aliases_of")

    _aliases: dict[str, str]
    _aliases_of: int

    def get(self, key: str, default: Any = None) -> Any:
        """Find a step by its id or by its id's underscored form."""
        try:
            return self[key]
        except KeyError:
            return default

    def __missing__(self, key: str) -> Any:
        if "_" not in key:
            raise KeyError(key)
        # Steps are only ever added, so their number says whether the aliases are complete.
        if getattr(self, "_aliases_of", -1) != len(self):
            self._aliases = {name.replace("-", "_"): name for name in self if "-" in name}
            self._aliases_of = len(self)
        return self[self._aliases[key]]


def build_scope(
    *,
    input: Any,
    context: Any,
    steps: Mapping[str, Mapping[str, Any]],
    execution: Mapping[str, Any],
    item: Any = None,
    index: int | None = None,
    output: Any = ABSENT,
) -> dict[str, Any]:
    """Lay out what expressions may read. `steps` maps an id to {"output", "status", "error"}."""
    scope = {
        "input": input,
        "context": context,
        "steps": steps if isinstance(steps, StepOutcomes) else StepOutcomes(steps),
        "execution": execution,
        "item": item,
        "index": index,
    }
    if output is not ABSENT:
        scope["output"] = output
    return scope
