"""Roles, and what each may do."""

from __future__ import annotations

from typing import Any

from core.db.vocabulary import Vocabulary

SCOPES = {
    "registry:read": "See services, health and discovery",
    "registry:register": "Register services and beat for its own",
    "registry:write": "Change any service and connection",
    "registry:operate": "Accept registrations, and register any type and weight",
    "actions:execute": "Call actions of services",
    "workflows:read": "See workflows and executions",
    "workflows:execute": "Start executions and control its own",
    "workflows:write": "Create and change workflows",
    "workflows:operate": "Start other versions, retire them, rerun with other inputs",
    "executions:control": "Cancel and retry any execution",
    "credentials:read": "See credentials, never their secrets",
    "credentials:use": "Let services and connections use credentials",
    "credentials:write": "Set and rotate credentials",
    "models:read": "See models, routes, budgets, usage and requests",
    "models:use": "Have models answer, within the budgets",
    "models:write": "Change models, routes, prices and budgets",
    "audit:read": "See the audit trail and API keys",
    "keys:write": "Make and revoke API keys that may do no more than its own",
}

# What takes a call of an action, or of what an integration leads to.
CALLS = "actions:execute"
_READ = frozenset({"registry:read", "workflows:read", "models:read"})


class Role(Vocabulary):
    """What a caller may do; each is also a group of the admin."""

    VIEWER = "VIEWER", "Viewer"
    SERVICE = "SERVICE", "Service"
    WORKFLOW_EDITOR = "WORKFLOW_EDITOR", "Workflow editor"
    OPERATOR = "OPERATOR", "Operator"
    SECRET_ADMIN = "SECRET_ADMIN", "Secret admin"
    AUDITOR = "AUDITOR", "Auditor"

    @classmethod
    def parse(cls, value: object) -> Role:
        return super().parse(value.replace("-", "_") if isinstance(value, str) else value)

    @property
    def group_name(self) -> str:
        return self.value.lower().replace("_", "-")


_ROLE_SCOPES: dict[str, frozenset[str]] = {
    Role.VIEWER: _READ,
    Role.SERVICE: _READ
    | {"registry:register", "actions:execute", "workflows:execute", "models:use"},
    Role.WORKFLOW_EDITOR: _READ
    | {"workflows:write", "workflows:execute", "actions:execute", "models:use"},
    Role.OPERATOR: frozenset(SCOPES) - {"credentials:write", "audit:read", "keys:write"},
    Role.SECRET_ADMIN: _READ | {"credentials:read", "credentials:write"},
    Role.AUDITOR: _READ | {"credentials:read", "audit:read"},
}


ROLE_WORDS: dict[str, str] = {
    Role.VIEWER: "Sees services, their health, workflows and executions; changes nothing.",
    Role.SERVICE: "For programs: registers itself, finds and calls services, starts workflows.",
    Role.WORKFLOW_EDITOR: "Sees everything a viewer does, makes workflows and starts them.",
    Role.OPERATOR: "Runs the hub: changes services and connections, controls circuits and"
    " executions, links credentials; sets no secrets.",
    Role.SECRET_ADMIN: "Makes, rotates and deletes credentials, whose secrets nobody reads.",
    Role.AUDITOR: "Sees the audit trail, people and API keys; changes nothing.",
}


def scopes_of_role(role: str) -> frozenset[str]:
    """Return the scopes of a role; none for a word that is no role."""
    return _ROLE_SCOPES.get(role, frozenset())


def scopes_of_groups(names: set[str]) -> frozenset[str]:
    """Return the scopes of a person, from the names of the person's groups."""
    granted = (scopes_of_role(role) for role in Role if role.group_name in names)
    return frozenset().union(*granted)


def scopes_of_user(user: Any) -> frozenset[str]:
    """Return what a person of the admin may do: all as a superuser, else what the groups may."""
    if user.is_superuser:
        return frozenset(SCOPES)
    return scopes_of_groups(set(user.groups.values_list("name", flat=True)))


def may(user: Any, scope: str) -> bool:
    """Return whether a person of the admin has a scope, as a caller of the API would."""
    return scope in scopes_of_user(user)
