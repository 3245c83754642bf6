"""The sidebar: its groups are what a person comes for."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.models import LegacyCall

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
        ),
    ),
    (
        "Watch",
        (
            ("Incidents", "warning", "monitoring.incident"),
            ("Checks", "network_check", "monitoring.healthcheck"),
            ("Uptime", "monitoring", "monitoring.statusspan"),
            ("Dependencies", "hub", "monitoring.servicedependency"),
            ("Objectives", "target", "monitoring.slo"),
            ("Maintenance", "construction", "monitoring.maintenancewindow"),
            ("Status pages", "web", "monitoring.statuspage"),
            ("Alert channels", "notifications", "monitoring.alertchannel"),
            ("Escalation", "escalator", "monitoring.escalationpolicy"),
            ("Silences", "notifications_off", "monitoring.alertsilence"),
            ("Alert messages", "outbox", "monitoring.alertdelivery"),
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
        "Models",
        (
            ("Models", "neurology", "model_orchestration.model"),
            ("Routes", "alt_route", "model_orchestration.modelroute"),
            ("Requests", "forum", "model_orchestration.request"),
            ("Prompts", "edit_note", "model_orchestration.prompt"),
            ("Content policies", "visibility_lock", "model_orchestration.contentpolicy"),
            ("Budgets", "savings", "model_orchestration.modelbudget"),
            ("Provider quotas", "data_usage", "model_orchestration.providerquota"),
            ("Prices", "payments", "model_orchestration.modelprice"),
        ),
    ),
    (
        "Access",
        (
            ("Credentials", "lock", "registry.credential"),
            ("Credential trail", "policy", "registry.credentialevent"),
            ("Audit trail", "fact_check", "core.auditentry"),
            ("API keys", "key", "core.apikey"),
            ("Old calls", "move_down", "core.legacycall"),
            ("Users", "person", "auth.user"),
            ("Groups", "group", "auth.group"),
        ),
    ),
)

NAMES = {label: name for _, entries in _GROUPS for name, _, label in entries}


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups with the links that this person may open."""
    first = [_entry("Overview", "dashboard", reverse("admin:index"))]
    if may_see(request, "workflows.workflowexecution"):
        first.append(_entry("Inbox", "inbox", reverse("admin:inbox"), title=_title_with_count()))
    groups = [
        {"title": title, "separator": True, "items": _items(request, entries)}
        for title, entries in _GROUPS
    ]
    return [{"items": first}, *(group for group in groups if group["items"])]


def _entry(name: str, icon: str, link: str, *, title: str = "") -> dict[str, Any]:
    """Return an entry by its name; `title` is what the menu shows, if that is more."""
    return {"name": name, "title": title or name, "icon": icon, "link": link}


def _title_with_count() -> SafeString:
    """Return a title whose count is fetched once the page is there: no page waits for it."""
    return format_html(
        'Inbox <span id="inbox-count" hx-get="{}" hx-trigger="load, live" hx-swap="innerHTML"'
        ' data-live="executions:10" data-live-seconds="30"></span>',
        reverse("admin:inbox_count"),
    )


def _items(request: HttpRequest, entries: tuple[tuple[str, str, str], ...]) -> list[dict[str, Any]]:
    return [
        _entry(name, icon, _list_of(label))
        for name, icon, label in entries
        if may_see(request, label) and is_of_use(label)
    ]


def is_of_use(label: str) -> bool:
    """Return whether there is, or may come, anything to see: old calls come only if taken."""
    return label != "core.legacycall" or settings.LEGACY_API or LegacyCall.objects.exists()


def _list_of(label: str) -> str:
    return reverse(f"admin:{label.replace('.', '_')}_changelist")


def may_see(request: HttpRequest, label: str) -> bool:
    """Return whether this person may see the rows of a model, given as `app.model`."""
    app, model = label.split(".")
    return request.user.has_perm(f"{app}.view_{model}") or request.user.has_perm(
        f"{app}.change_{model}"
    )
