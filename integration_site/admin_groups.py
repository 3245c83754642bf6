"""The groups of the admin: one for each role, with the permissions that the role needs there."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

from core.roles import Role

_APPS = ("core", "registry", "workflows", "monitoring", "model_orchestration")
_NOT_FOR_ALL = (
    "view_apikey",
    "view_credential",
    "view_credentialtoken",
    "view_credentialevent",
    "view_auditentry",
    "view_requestcontent",
)
_VIEW = Q(content_type__app_label__in=_APPS, codename__startswith="view_") & ~Q(
    codename__in=_NOT_FOR_ALL
)
_WORKFLOWS = Q(
    content_type__app_label="workflows",
    content_type__model__in=("workflow", "workflowschedule", "webhook"),
)
_EXECUTIONS = Q(content_type__app_label="workflows", codename="change_workflowexecution")
_SERVICES = Q(
    content_type__app_label="registry",
    content_type__model__in=(
        "service", "serviceinstance", "serviceaction", "connection", "integration",
    ),
)  # fmt: skip
_MODELS = Q(
    content_type__app_label="model_orchestration",
    content_type__model__in=(
        "contentpolicy", "model", "modelbudget", "modelprice", "modelroute", "prompt",
        "providerquota",
    ),
)  # fmt: skip
_CIRCUITS = Q(content_type__app_label="registry", codename="change_circuitbreakerstate")
_INCIDENTS = Q(content_type__app_label="monitoring", codename="change_incident")
_CHANNELS = Q(
    content_type__app_label="monitoring",
    content_type__model__in=(
        "alertchannel",
        "alertsilence",
        "escalationpolicy",
        "healthcheck",
        "maintenancewindow",
        "servicedependency",
        "slo",
        "statuspage",
    ),
)
_AUDIT = Q(
    codename__in=(
        "view_apikey",
        "view_auditentry",
        "view_user",
        "view_group",
        "view_credentialevent",
    )
)
_SEES_CREDENTIALS = Q(content_type__app_label="registry", codename="view_credential")
_USES_CREDENTIALS = Q(content_type__app_label="registry", codename="use_credential")
_SETS_CREDENTIALS = Q(
    content_type__app_label="registry",
    codename__in=(
        "add_credential", "change_credential", "delete_credential", "view_credentialevent",
    ),
)  # fmt: skip

_PERMISSIONS: dict[Role, Q] = {
    Role.VIEWER: _VIEW,
    Role.SERVICE: _VIEW,
    Role.WORKFLOW_EDITOR: _VIEW | _WORKFLOWS,
    Role.OPERATOR: (
        _VIEW
        | _WORKFLOWS
        | _EXECUTIONS
        | _SERVICES
        | _CIRCUITS
        | _INCIDENTS
        | _CHANNELS
        | _MODELS
        | _SEES_CREDENTIALS
        | _USES_CREDENTIALS
    ),
    Role.SECRET_ADMIN: _VIEW | _SEES_CREDENTIALS | _SETS_CREDENTIALS,
    Role.AUDITOR: _VIEW | _AUDIT | _SEES_CREDENTIALS,
}


def create_roles() -> None:
    """Make the groups and give them their permissions; what is there is brought up to date."""
    for role, permissions in _PERMISSIONS.items():
        group, _ = Group.objects.get_or_create(name=role.group_name)
        group.permissions.set(Permission.objects.filter(permissions))
