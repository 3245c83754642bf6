"""What expressions may read: the scope of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ABSENT: Any = object()
ROOT_NAMES = ("input", "context", "steps", "execution", "item", "index", "output")


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
