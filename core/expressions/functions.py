"""The functions that expressions may call."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC
from typing import Any

from jmespath.functions import Functions, signature

from core.expressions.arguments import check_argument, check_compared, comparable
from core.expressions.budget import EvaluationBudget
from core.expressions.errors import ExpressionError
from core.expressions.strings import as_text, fill, join
from core.expressions.values import MAX_ELEMENTS, bounded, equals, json_type, too_large
from core.json import strict
from core.json.equality import canonical_json, with_one_form_of_numbers
from core.suggestions import either

_ANY: Any = {"types": []}
_ANY_VARIADIC: Any = {"types": [], "variadic": True}


class BoundedFunctions(Functions):
    """JMESPath's functions, bounded, and the ones that workflows need besides."""

    def __init__(self, run: EvaluationBudget) -> None:
        self._run = run

    def call_function(self, function_name: str, resolved_args: Iterable[Any]) -> Any:
        self._run.check()
        spec = self.FUNCTION_TABLE[function_name]
        arguments = list(resolved_args)
        for position, value in enumerate(arguments):
            types = spec["signature"][min(position, len(spec["signature"]) - 1)]["types"]
            check_argument(function_name, position, value, types)
        result = spec["function"](self, *arguments)
        if isinstance(result, float) and not math.isfinite(result):
            raise ExpressionError(f"{function_name}() gives a number that is out of range.")
        return result

    def _create_key_func(self, expref: Any, allowed_types: list[str], function_name: str) -> Any:
        seen = 0

        def key(element: Any) -> Any:
            nonlocal seen
            result = expref.visit(expref.expression, element)
            if json_type(result) not in allowed_types:
                raise ExpressionError(
                    f"{function_name}() needs keys that are all {either(allowed_types)}; "
                    f"one is {json_type(result)}."
                )
            if isinstance(result, str):
                seen += len(result)
                check_compared(seen)
            return result

        return key

    @signature(_ANY)
    def _func_to_number(self, arg: Any) -> Any:
        if json_type(arg) == "number":
            return arg
        if not isinstance(arg, str) or len(arg) > 400:
            return None
        try:
            number = strict.parse(arg)
        except strict.JSONRefused:
            return None
        return number if json_type(number) == "number" else None

    @signature(_ANY)
    def _func_to_string(self, arg: Any) -> str:
        return as_text(arg)

    @signature({"types": ["array", "string"]}, _ANY)
    def _func_contains(self, subject: Any, search: Any) -> bool:
        if isinstance(subject, str):
            return isinstance(search, str) and search in subject
        for count, element in enumerate(subject):
            if not count & 63:
                self._run.check()
            if equals(element, search):
                return True
        return False

    @signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: str, array: list[str]) -> str:
        return join(array, separator)

    @signature({"types": ["array-string", "array-number"]})
    def _func_sort(self, arg: list[Any]) -> list[Any]:
        return sorted(comparable(arg))

    @signature({"types": ["array-number", "array-string"]})
    def _func_max(self, arg: list[Any]) -> Any:
        return max(comparable(arg), default=None)

    @signature({"types": ["array-number", "array-string"]})
    def _func_min(self, arg: list[Any]) -> Any:
        return min(comparable(arg), default=None)

    @signature(_ANY_VARIADIC)
    def _func_concat(self, *arguments: Any) -> Any:
        """Join lists into one list, anything else into one string; null counts as empty."""
        if not any(isinstance(argument, list) for argument in arguments):
            return join([as_text(part) for part in arguments if part is not None])
        merged: list[Any] = []
        for argument in arguments:
            if argument is not None and not isinstance(argument, list):
                raise ExpressionError(
                    f"concat() joins either lists or texts; one argument is {json_type(argument)}."
                )
            merged.extend(argument or ())
            if len(merged) > MAX_ELEMENTS:
                raise too_large()
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

    @signature({"types": ["number"]}, {"types": ["number"]})
    def _func_modulo(self, left: Any, right: Any) -> Any:
        """Give what is left over; it has the sign of the divisor."""
        if right == 0:
            raise ExpressionError("modulo() cannot divide by 0.")
        return left % right

    @signature({"types": ["string"]})
    def _func_capitalize(self, text: str) -> str:
        """Give the text with its first letter large and all others small."""
        return text.capitalize()

    @signature({"types": ["array", "object", "null"]}, {"types": ["number", "string"]})
    def _func_at(self, subject: Any, key: Any) -> Any:
        """Give the element at a position, from the end if that is negative, or of a name."""
        if isinstance(subject, dict):
            return subject.get(key) if isinstance(key, str) else None
        if subject is None or isinstance(key, str) or key != int(key):
            return None
        return subject[int(key)] if -len(subject) <= key < len(subject) else None

    @signature({"types": ["array"], "variadic": True})
    def _func_zip(self, *arrays: list[Any]) -> list[list[Any]]:
        """Give lists of what is at the same position, as many as the shortest one has."""
        if min(map(len, arrays)) * len(arrays) > MAX_ELEMENTS:
            raise too_large()
        return [list(each) for each in zip(*arrays, strict=False)]

    @signature({"types": ["array"]}, {"types": ["number"]})
    def _func_cycle(self, array: list[Any], count: Any) -> list[Any]:
        """Repeat the elements in turn until there are so many; of an empty list none."""
        if count > MAX_ELEMENTS:
            raise too_large()
        return [array[place % len(array)] for place in range(int(count))] if array else []

    @signature({"types": ["string"]}, _ANY_VARIADIC)
    def _func_format(self, pattern: str, *arguments: Any) -> str:
        """Fill `{}`, `{0}` or, given one object, `{name}`; `{{` and `}}` stand for braces."""
        return fill(pattern, arguments)

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
        """Give an object of lists, by the text of each element's key; without one under `null`.

        Keys that are equal as JSON have one text: that of 1.0 is `1`.
        """
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


def _identity(value: Any) -> Any:
    """Return a hashable that two values share exactly when they are equal as JSON."""
    if isinstance(value, (dict, list)):
        return canonical_json(bounded(value))
    return json_type(value), value


def _group_name(element: Any, key: Any) -> str:
    if isinstance(key, str):
        value = element.get(key) if isinstance(element, dict) else None
    else:
        value = key.visit(key.expression, element)
    if isinstance(value, str):
        return value
    return as_text(with_one_form_of_numbers(bounded(value)), sort_keys=True)
