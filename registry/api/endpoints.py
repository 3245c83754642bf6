"""Turns the endpoints that earlier services register into actions (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ValidationError

LONGEST_NAME = 100
ENDPOINT_FIELDS = ("path", "method", "description", "required_permissions")
_WORD = re.compile(r"[A-Za-z0-9]+")


def with_actions_of_endpoints(data: Any) -> Any:
    """Return a registration whose `endpoints` are among its actions, behind those that it names.

    Raises:
        ValidationError: an endpoint is none, at its place.
    """
    if not isinstance(data, Mapping) or "endpoints" not in data:
        return data
    rest = {name: value for name, value in data.items() if name != "endpoints"}
    if data["endpoints"] is None or data["endpoints"] == []:
        return rest  # it says nothing of its actions, which an operator may have named
    actions = rest.get("actions") or []
    if not isinstance(actions, list):
        return rest  # which is refused for it
    named = {name for action in actions if (name := _name_in(action))}
    return {**rest, "actions": [*actions, *actions_of(data["endpoints"], taken=named)]}


def actions_of(endpoints: Any, *, taken: set[str]) -> list[dict[str, Any]]:
    """Return the actions that endpoints stand for; what is named in `taken` is there already.

    Raises:
        ValidationError: an endpoint is none, at its place.
    """
    if not isinstance(endpoints, list):
        raise ValidationError({"endpoints": ["Must be a list."]})
    problems = [_problems(endpoint) for endpoint in endpoints]
    if any(problems):
        raise ValidationError({"endpoints": problems})
    actions: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        method = str(endpoint.get("method") or "GET").upper()
        name = action_name(method, endpoint["path"])
        same = actions.get(name)
        if name not in taken and (same is None or same["path"] == endpoint["path"]):
            actions[name] = _action(name, method, endpoint)
        elif same is not None:
            other = _numbered(name, {*actions, *taken})
            actions[other] = _action(other, method, endpoint)
    return list(actions.values())


def action_name(method: str, path: str) -> str:
    """Return the name of the action for a method and a path.

    `GET /projects/{project_id}` is `get_projects_project_id`.
    """
    words = _WORD.findall(path) or ["root"]
    return "_".join((method.lower(), *words))[:LONGEST_NAME]


def _numbered(name: str, taken: set[str]) -> str:
    numbers = (f"_{number}" for number in range(2, len(taken) + 3))
    return next(
        whole for end in numbers if (whole := name[: LONGEST_NAME - len(end)] + end) not in taken
    )


def _action(name: str, method: str, endpoint: Mapping[str, Any]) -> dict[str, Any]:
    permissions = endpoint.get("required_permissions") or []
    needs = f"Required permissions: {', '.join(permissions)}." if permissions else ""
    description = " ".join(part for part in (endpoint.get("description"), needs) if part)
    return {"name": name, "method": method, "path": endpoint["path"], "description": description}


def _problems(endpoint: Any) -> dict[str, list[str]]:
    if not isinstance(endpoint, dict):
        return {"path": ["An endpoint is an object with a path and a method."]}
    problems = {
        name: [f"There is no such field. Known: {', '.join(ENDPOINT_FIELDS)}."]
        for name in endpoint
        if name not in ENDPOINT_FIELDS
    }
    if not isinstance(endpoint.get("path"), str) or not endpoint["path"].startswith("/"):
        problems["path"] = ["Must begin with /, such as /projects/{project_id}."]
    for name in ("method", "description"):
        if not isinstance(endpoint.get(name) or "", str):
            problems[name] = ["Must be a text."]
    permissions = endpoint.get("required_permissions") or []
    if not isinstance(permissions, list) or not all(isinstance(p, str) for p in permissions):
        problems["required_permissions"] = ["Must be a list of texts."]
    return problems


def _name_in(action: Any) -> str:
    name = action.get("name") if isinstance(action, Mapping) else action
    return name if isinstance(name, str) else ""
