"""The groups of the admin: one for each role, with the permissions that the role needs there."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

from registry.access import Role

_APPS = ("registry", "workflows", "monitoring")
_VIEW = Q(content_type__app_label__in=_APPS, codename__startswith="view_") & ~Q(
    codename="view_apikey"
)
_WORKFLOWS = Q(content_type__app_label="workflows", content_type__model="workflow")
_EXECUTIONS = Q(content_type__app_label="workflows", codename="change_workflowexecution")
_SERVICES = Q(
    content_type__app_label="registry",
    content_type__model__in=("service", "serviceinstance", "serviceaction"),
)
_CIRCUITS = Q(content_type__app_label="registry", codename="change_circuitbreakerstate")
_AUDIT = Q(codename__in=("view_apikey", "view_logentry", "view_user", "view_group"))

_PERMISSIONS: dict[Role, Q] = {
    Role.VIEWER: _VIEW,
    Role.SERVICE: _VIEW,
    Role.WORKFLOW_EDITOR: _VIEW | _WORKFLOWS,
    Role.OPERATOR: _VIEW | _WORKFLOWS | _EXECUTIONS | _SERVICES | _CIRCUITS,
    Role.SECRET_ADMIN: _VIEW,
    Role.AUDITOR: _VIEW | _AUDIT,
}


def create_roles() -> None:
    """Make the groups and give them their permissions; what is there is brought up to date."""
    for role, wanted in _PERMISSIONS.items():
        group, _ = Group.objects.get_or_create(name=role.group_name)
        group.permissions.set(Permission.objects.filter(wanted))
