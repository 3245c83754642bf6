"""Places inside branches and elements, as `scope` and `path` of a step write them (pure)."""

from __future__ import annotations


def visible_scopes(scope: str) -> list[str]:
    """The scopes that can be seen from one, outermost first: '' and each container's branch.

    `each/3/both/0` lies in `each/3`, which lies at the top.
    """
    parts = scope.split("/") if scope else []
    return ["", *("/".join(parts[: end + 2]) for end in range(0, len(parts), 2))]


def containers_of(scope: str) -> set[str]:
    """The paths of the PARALLEL and MAP steps that a scope lies in."""
    return {place.rpartition("/")[0] for place in visible_scopes(scope)[1:]}


# Before the path of the step that a row undoes; no id of a step begins so.
_UNDOING = "~"


def compensation_path(path: str) -> str:
    """The path of the row that undoes the step at this one."""
    return f"{_UNDOING}{path}"


def is_compensation(path: str) -> bool:
    """Whether the row at this path undoes another."""
    return path.startswith(_UNDOING)


def undone_path(path: str) -> str:
    """The path of the step that the row at this one undoes."""
    return path.removeprefix(_UNDOING)


def scope_of(path: str) -> str:
    """The branch or element that a step is in, or the step that the row at this path undoes."""
    return undone_path(path).rpartition("/")[0]
