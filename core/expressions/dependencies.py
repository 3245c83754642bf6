"""Which paths of the scope an expression reads, told from its tree."""

from __future__ import annotations

from typing import Any


def references_of(tree: Any) -> frozenset[tuple[str, ...]]:
    """Give the paths that are read, without those that only lead to a longer one."""
    found: set[tuple[str, ...]] = set()
    _collect(tree, (), found)
    return frozenset(path for path in found if not any(_extends(other, path) for other in found))


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


def plain_fields(tree: Any) -> tuple[str, ...] | None:
    """Return the names of an expression such as a.b.c, which needs no interpreter."""
    if tree["type"] == "field":
        return (tree["value"],)
    if tree["type"] != "subexpression":
        return None
    names: tuple[str, ...] = ()
    for child in tree["children"]:
        inner = plain_fields(child)
        if inner is None:
            return None
        names += inner
    return names
