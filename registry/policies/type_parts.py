"""The parts that a type of credential or connection consists of, and how values are held to them.

Pure: each check answers a value as it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.views.decorators.debug import sensitive_variables

from core.suggestions import MOST_UNKNOWN


@dataclass(frozen=True, slots=True)
class Part:
    """One value of a type. `check` answers it as it is kept, or raises ValueError."""

    name: str
    label: str
    check: Callable[[Any], Any]
    help: str = ""
    default: Any = None
    required: bool = False
    long: bool = False
    choices: tuple[str, ...] = ()


@sensitive_variables()
def check_parts(
    parts: Iterable[Part],
    values: Mapping[str, Any],
    section: str,
    errors: dict[str, list[str]],
    *,
    noun: str = "part",
    empty: tuple[Any, ...] = (None, "", []),
    tells_names: bool = True,
) -> dict[str, Any]:
    """Return values as they are kept: with defaults, and without what is `empty`.

    What is wrong is added to `errors` by paths such as `attributes.token_url`; without
    `tells_names`, an unknown name may be a secret in the wrong place, and is not repeated.
    """
    by_name = {part.name: part for part in parts}
    for name in islice(values.keys() - by_name.keys(), MOST_UNKNOWN):
        path = f"{section}.{str(name)[:100]}" if tells_names else section
        names = ", ".join(by_name) or "none"
        errors[path] = [f"This type has no such {noun}. It has: {names}."]
    kept: dict[str, Any] = {}
    for name, part in by_name.items():
        value = values.get(name)
        if value in empty:
            if part.required:
                errors[f"{section}.{name}"] = ["This is needed."]
            elif part.default is not None:
                kept[name] = part.default
            continue
        try:
            kept[name] = part.check(value)
        except ValueError as error:
            errors[f"{section}.{name}"] = [str(error)]
    return kept
