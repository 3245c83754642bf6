"""Fields of a document that a schema does not know: refused, dropped or passed on (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.db.vocabulary import Vocabulary
from core.expressions import join_path

MOST_NAMED = 20
MAX_DEPTH = 16
_ALTERNATIVES = ("allOf", "anyOf", "oneOf")
_BRANCHES = ("then", "else")

Schema = Mapping[str, Any]


class UnknownFields(Vocabulary):
    """What happens to fields that the target's schema does not name."""

    REJECT = "REJECT", "Reject"
    STRIP = "STRIP", "Strip"
    PASS = "PASS", "Pass"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A document cut down to what a schema names, and the paths of what it does not name."""

    known: dict[str, Any]
    unknown: tuple[str, ...]


def fit(schema: Schema, document: Mapping[str, Any], *, also: Collection[str] = ()) -> Fitted:
    """Cut a document down to the fields that its schema names, in objects and lists inside too.

    A schema that names no fields takes any, and so does one that says that others may be there
    (`additionalProperties` or `patternProperties`). `also` names fields that are known besides,
    such as those of the path.
    """
    unknown: list[str] = []
    known = _cut(dict(document), [schema], _SchemaLevel(schema, unknown), "", frozenset(also))
    return Fitted(known, tuple(unknown))


def warning_of(unknown: Collection[str], target: str) -> list[dict[str, Any]]:
    """Return the warning that fields were dropped, to be recorded; empty where none was."""
    if not unknown:
        return []
    sentence = f"{target} does not know {enumerate_fields(unknown)}: dropped."
    fields = list(unknown)[:MOST_NAMED]
    return [{"code": "unknown_fields", "message": sentence, "fields": fields}]


def refusals_of(unknown: Collection[str], target: str) -> dict[str, list[str]]:
    """Return the same as errors, by path."""
    sentence = f"{target} does not know this field."
    return {path: [sentence] for path in list(unknown)[:MOST_NAMED]}


def enumerate_fields(paths: Collection[str]) -> str:
    """Return paths in a sentence, shortened where they are many."""
    shown = ", ".join(f"'{path[:100]}'" for path in list(paths)[:MOST_NAMED])
    rest = len(paths) - MOST_NAMED
    return f"{shown} and {rest} more" if rest > 0 else shown


@dataclass(frozen=True, slots=True)
class _SchemaLevel:
    """The whole schema, for its references, and where what is unknown is written down."""

    root: Schema
    unknown: list[str]


def _cut(
    value: Any,
    schemas: list[Schema],
    place: _SchemaLevel,
    path: str,
    also: frozenset[str] = frozenset(),
) -> Any:
    """Return the value without what none of its schemas names."""
    if isinstance(value, list):
        parts = [s.get("items") for s in _parts(schemas, place.root)]
        items = [part for part in parts if isinstance(part, Mapping)]
        return [_cut(v, items, place, f"{path}[{i}]") for i, v in enumerate(value)]
    names = _names(schemas, place.root) if isinstance(value, dict) else None
    if names is None:
        return value
    kept = {}
    for name, part in value.items():
        inner = join_path(path, name)
        if name in names or name in also:
            kept[name] = _cut(part, names.get(name, []), place, inner)
        else:
            place.unknown.append(inner)
    return kept


def _names(schemas: list[Schema], root: Schema) -> dict[str, list[Schema]] | None:
    """Return the fields that schemas name, with what they say of each; None where any may be."""
    fields: dict[str, list[Schema]] = {}
    for part in _parts(schemas, root):
        others = part.get("additionalProperties")
        if others is True or isinstance(others, Mapping) or part.get("patternProperties"):
            return None
        named = part.get("properties")
        for name, inner in named.items() if isinstance(named, Mapping) else ():
            fields.setdefault(name, []).append(inner if isinstance(inner, Mapping) else {})
    return fields or None


def _parts(schemas: list[Schema], root: Schema) -> Iterator[Schema]:
    """Return schemas with all that they are put together from; each once."""
    seen: set[int] = set()
    level = list(schemas)
    for _ in range(MAX_DEPTH):
        following: list[Schema] = []
        for schema in level:
            if id(schema) not in seen:
                seen.add(id(schema))
                yield schema
                following.extend(_inside(schema, root))
        level = following


def _inside(schema: Schema, root: Schema) -> Iterator[Schema]:
    for key in _ALTERNATIVES:
        found = schema.get(key)
        yield from (s for s in found if isinstance(s, Mapping)) if isinstance(found, list) else ()
    for key in _BRANCHES:
        if isinstance(schema.get(key), Mapping):
            yield schema[key]
    target = _referred(schema.get("$ref"), root)
    if target is not None:
        yield target


def _referred(reference: Any, root: Schema) -> Schema | None:
    """Return what a local reference (RFC 6901, behind `#`) points to."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    found: Any = root
    for step in reference[1:].split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else None
