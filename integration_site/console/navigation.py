"""The sidebar: what there is, by what a person comes for."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

_GROUPS = (
    (
        "Services",
        (
            ("Services", "dns", "registry.service"),
            ("Instances", "lan", "registry.serviceinstance"),
            ("Actions", "bolt", "registry.serviceaction"),
            ("Connections", "cable", "registry.connection"),
            ("Integrations", "conversion_path", "registry.integration"),
            ("Circuit breakers", "power", "registry.circuitbreakerstate"),
            ("Changes", "history", "registry.registrychange"),
            ("Incidents", "warning", "monitoring.incident"),
        ),
    ),
    (
        "Workflows",
        (
            ("Executions", "play_circle", "workflows.workflowexecution"),
            ("Workflows", "account_tree", "workflows.workflow"),
            ("Schedules", "schedule", "workflows.workflowschedule"),
            ("Webhooks", "webhook", "workflows.webhook"),
            ("Versions", "layers", "workflows.workflowversion"),
            ("Steps", "format_list_numbered", "workflows.workflowstep"),
            ("Events", "event_note", "workflows.workflowevent"),
            ("Bulk operations", "checklist", "workflows.bulkoperation"),
            ("Retention", "auto_delete", "workflows.purgerun"),
            ("Workers", "engineering", "workflows.worker"),
        ),
    ),
    (
        "Access",
        (
            ("Credentials", "lock", "registry.credential"),
            ("Credential trail", "policy", "registry.credentialevent"),
            ("Audit trail", "fact_check", "registry.auditentry"),
            ("API keys", "key", "registry.apikey"),
            ("Users", "person", "auth.user"),
            ("Groups", "group", "auth.group"),
        ),
    ),
)


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups with the links that this person may open."""
    overview = {"title": "Overview", "icon": "dashboard", "link": reverse("admin:index")}
    groups = [
        {"title": title, "separator": True, "items": _items(request, entries)}
        for title, entries in _GROUPS
    ]
    if _may_see(request, "workflows.workflowexecution"):
        inbox = {"title": "Inbox", "icon": "inbox", "link": reverse("admin:inbox")}
        return [{"items": [overview, inbox]}, *(group for group in groups if group["items"])]
    return [{"items": [overview]}, *(group for group in groups if group["items"])]


def _items(request: HttpRequest, entries: tuple[tuple[str, str, str], ...]) -> list[dict[str, Any]]:
    return [
        {"title": title, "icon": icon, "link": _list_of(label)}
        for title, icon, label in entries
        if _may_see(request, label)
    ]


def _list_of(label: str) -> str:
    return reverse(f"admin:{label.replace('.', '_')}_changelist")


def _may_see(request: HttpRequest, label: str) -> bool:
    app, model = label.split(".")
    return request.user.has_perm(f"{app}.view_{model}") or request.user.has_perm(
        f"{app}.change_{model}"
    )
