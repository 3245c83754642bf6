"""Reads and writes the `scope` and `path` of steps inside branches and elements (pure)."""

from __future__ import annotations


def visible_scopes(scope: str) -> list[str]:
    """Return the scopes that can be seen from one, outermost first: '' and each container's branch.

    `each/3/both/0` lies in `each/3`, which lies at the top.
    """
    parts = scope.split("/") if scope else []
    return ["", *("/".join(parts[: end + 2]) for end in range(0, len(parts), 2))]


def containers_of(scope: str) -> set[str]:
    """Return the paths of the PARALLEL and MAP steps that a scope lies in."""
    return {inner.rpartition("/")[0] for inner in visible_scopes(scope)[1:]}


# Before the path of the step that a row compensates; no id of a step begins so.
_PREFIX = "~"


def compensation_path(path: str) -> str:
    """Return the path of the row that compensates the step at this one."""
    return f"{_PREFIX}{path}"


def is_compensation(path: str) -> bool:
    """Return whether the row at this path compensates a step."""
    return path.startswith(_PREFIX)


def compensated_path(path: str) -> str:
    """Return the path of the step that the row at this one compensates."""
    return path.removeprefix(_PREFIX)


def scope_of(path: str) -> str:
    """Return the branch or element of a step, or of the one that a row compensates."""
    return compensated_path(path).rpartition("/")[0]
