"""JMESPath's interpreter, made safe for expressions that anyone may write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jmespath.visitor import Options, TreeInterpreter

from core.expressions.budget import EvaluationBudget
from core.expressions.functions import BoundedFunctions
from core.expressions.values import MAX_ELEMENTS, equals, json_type, too_large


class Interpreter(TreeInterpreter):
    """JMESPath's interpreter with a deadline, bounded lists and total comparisons."""

    def __init__(self, run: EvaluationBudget) -> None:
        super().__init__(Options(custom_functions=BoundedFunctions(run)))
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
            return equals(left, right) is (operator == "eq")
        if json_type(left) != json_type(right) or json_type(left) not in ("number", "string"):
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
                raise too_large()
        return merged

    def visit_slice(self, node: Any, value: Any) -> Any:
        self._run.check()
        return super().visit_slice(node, value)

    def visit_value_projection(self, node: Any, value: Any) -> Any:
        self._run.check()
        return super().visit_value_projection(node, value)


_VISITS: dict[str, Callable[..., Any]] = {
    name.removeprefix("visit_"): getattr(Interpreter, name)
    for name in dir(Interpreter)
    if name.startswith("visit_")
}
