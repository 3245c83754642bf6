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
