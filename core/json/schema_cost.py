"""How often a schema is applied while a value is checked, counted before it is (pure).

A schema may apply parts of itself several times to the same value: `allOf` of three references to
itself is 3^n applications to a value nested n deep, and a chain of definitions that each name the
next one twice is 2^n without any nesting. The count is that of paths through the schema, an upper
bound of what a checker does that remembers nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

# Nothing deeper can be parsed here (see `core.json.strict`).
DEEPEST = 32
# Beyond, a count says "too often", whatever it is.
TOO_OFTEN = 10**9
# More is not looked at: what is so involved counts as too often.
_MOST_STEPS = 50_000

_LISTS_SAME = ("allOf", "anyOf", "oneOf")
_ONE_SAME = ("not", "if", "then", "else")
_MAPS_SAME = ("dependentSchemas", "dependencies")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_LISTS_INNER = ("prefixItems", "items")
_ONE_INNER = (
    "items", "additionalItems", "unevaluatedItems", "contains", "additionalProperties",
    "unevaluatedProperties", "propertyNames",
)  # fmt: skip
_MAPS_NAMED = ("properties",)
_MAPS_INNER = ("patternProperties",)
_BASE = "http://schema.invalid/"
# The checker brings these along: they are recursive, and not more than that.
_STANDARD = ("http://json-schema.org/", "https://json-schema.org/")
_APPLICATIONS_OF_STANDARD = 100


class SchemaCost:
    """Counts the applications of one schema, by the depth of the value."""

    def __init__(self, schema: Any) -> None:
        self._root = schema
        self._named: dict[str, Any] = {_BASE: schema}
        self._bases: dict[int, str] = {}
        self._counts: dict[tuple[int, int], int] = {}
        self._under_way: set[tuple[int, int]] = set()
        self._steps = 0
        self._name(schema, _BASE)

    def applications(self, depth: int) -> int:
        """Return how often schemas are applied at most along one branch of a value, nested so deep.

        `TOO_OFTEN` where a schema applies itself to the same value without end, where a reference
        leads nowhere, or where the schema is too involved to be counted.
        """
        return min(self._count(self._root, min(depth, DEEPEST)), TOO_OFTEN)

    def _count(self, schema: Any, depth: int) -> int:
        if not isinstance(schema, Mapping):
            return 1
        key = (id(schema), depth)
        if key in self._counts:
            return self._counts[key]
        self._steps += 1
        if key in self._under_way or self._steps > _MOST_STEPS:
            return TOO_OFTEN
        self._under_way.add(key)
        count = _own(schema) + sum(self._count(part, depth) for part in self._of_same_value(schema))
        if depth:
            count += self._count_inner(schema, depth - 1)
        self._under_way.discard(key)
        self._counts[key] = count = min(count, TOO_OFTEN)
        return count

    def _count_inner(self, schema: Mapping[str, Any], depth: int) -> int:
        """Count for one value inside of the value, which is under one name or at one place."""
        named = (self._count(part, depth) for part in _parts(schema, _LISTS_INNER, (), _MAPS_NAMED))
        other = (self._count(part, depth) for part in _parts(schema, (), _ONE_INNER, _MAPS_INNER))
        return max(named, default=0) + sum(other)

    def _of_same_value(self, schema: Mapping[str, Any]) -> Iterator[Any]:
        yield from _parts(schema, _LISTS_SAME, _ONE_SAME, _MAPS_SAME)
        for name in _REFERENCES:
            reference = schema.get(name)
            if isinstance(reference, str) and not reference.startswith(_STANDARD):
                yield self._resolve(reference, self._bases.get(id(schema), _BASE))

    def _resolve(self, reference: str, base: str) -> Any:
        if reference.startswith("#"):  # as most do, and joining takes as long as all the rest
            url, fragment = base, reference[1:]
        else:
            url, fragment = urldefrag(urljoin(base, reference))
        if fragment and not fragment.startswith("/"):
            return self._named.get(f"{url}#{fragment}", _NOWHERE)
        found = self._named.get(url, _NOWHERE)
        for part in fragment.split("/")[1:]:
            part = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and part in found:
                found = found[part]
            elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
                found = found[int(part)]
            else:
                return _NOWHERE
        return found

    def _name(self, schema: Any, base: str) -> None:
        """Note by which names the parts of a schema can be referred to."""
        pending = [(schema, base)]
        while pending:
            part, base = pending.pop()
            if isinstance(part, list):
                pending += [(each, base) for each in part]
            if not isinstance(part, Mapping):
                continue
            if isinstance(part.get("$id"), str):
                base = urldefrag(urljoin(base, part["$id"])).url
                self._named[base] = part
            self._bases[id(part)] = base
            for name in ("$anchor", "$dynamicAnchor"):
                if isinstance(part.get(name), str):
                    self._named[f"{base}#{part[name]}"] = part
            pending += [(each, base) for each in part.values()]


def _own(schema: Mapping[str, Any]) -> int:
    references = (schema.get(name) for name in _REFERENCES)
    is_standard = any(isinstance(r, str) and r.startswith(_STANDARD) for r in references)
    return _APPLICATIONS_OF_STANDARD if is_standard else 1


# A reference that leads nowhere is refused when the schema is compiled; here it is one to itself.
_NOWHERE: dict[str, Any] = {"$ref": "#/nowhere"}


def _parts(
    schema: Mapping[str, Any],
    lists: tuple[str, ...],
    single: tuple[str, ...],
    maps: tuple[str, ...],
) -> Iterator[Any]:
    for name in lists:
        if isinstance(schema.get(name), list):
            yield from schema[name]
    for name in single:
        if isinstance(schema.get(name), Mapping):
            yield schema[name]
    for name in maps:
        if isinstance(schema.get(name), Mapping):
            yield from schema[name].values()


def measure(value: Any) -> tuple[int, int]:
    """Return how many values a document has in all, and how deep they are nested."""
    total, deepest, level = 1, 0, [value]
    while level:
        inner: list[Any] = []
        for each in level:
            if isinstance(each, Mapping):
                inner += each.values()
            elif isinstance(each, list):
                inner += each
        total += len(inner)
        deepest += bool(inner)
        level = inner
    return total, deepest
