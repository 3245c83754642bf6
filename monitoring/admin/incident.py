"""Incidents: what is wrong, what was, and deciding on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from unfold.decorators import display

from core.admin.base import GrowingAdmin, ReadOnlyMixin, actor_of, find_or_404
from core.admin.columns import column, moment_column, status_column
from core.admin.dialogs import telling_refusals
from core.admin.formatting import NOTHING, duration, moment
from core.admin.pages import page_of
from core.admin.views import own_view
from monitoring.incidents import Verdict, acknowledge_incident, decide_suspects
from monitoring.models import AlertChannel, Incident

DECIDE = "monitoring.change_incident"


_ACTS: dict[str, Callable[..., Any]] = {
    "acknowledge": acknowledge_incident,
    "expire": lambda incident, actor: decide_suspects(incident, Verdict.EXPIRE, actor=actor),
    "keep": lambda incident, actor: decide_suspects(incident, Verdict.KEEP, actor=actor),
}


@admin.register(Incident)
class IncidentAdmin(ReadOnlyMixin, GrowingAdmin):
    """The latest first; an unresolved one is also shown at the top of every page."""

    list_display = ("subject_label", "status_label", "severity_label", "opened", "lasted", "how")
    list_filter = ("status", "severity", "subject")
    search_fields = ("about__istartswith",)
    search_help_text = "The beginning of what it is about"
    ordering = ("-id",)
    change_form_outer_before_template = "console/incident_summary.html"
    fields = ("opened", "acknowledged", "resolved", "lasted")
    readonly_fields = fields

    subject_label = column("What", str)
    severity_label = status_column("Severity", "severity")
    opened = moment_column("Opened", "opened_at")

    @display(description="Acknowledged")
    def acknowledged(self, incident: Incident) -> str:
        if incident.acknowledged_at is None:
            return NOTHING
        return format_html("{} by {}", moment(incident.acknowledged_at), incident.acknowledged_by)

    resolved = moment_column("Resolved", "resolved_at")
    lasted = column("Lasted", lambda row: duration(row.opened_at, row.resolved_at))

    @display(description="How it ended")
    def how(self, incident: Incident) -> str:
        if not incident.is_resolved:
            return NOTHING
        by = f"{incident.resolved_by}: " if incident.resolved_by else ""
        return f"{by}{incident.resolution}"

    def summary(self, request: HttpRequest, row: Incident) -> dict[str, Any]:
        """Return who was told of it, and whether this person may decide on it."""
        return {
            "notices": list(row.notices.select_related("channel").order_by("channel__name")),
            "has_channels": AlertChannel.objects.filter(enabled=True).exists(),
            "may_decide": request.user.has_perm(DECIDE),
        }

    @own_view("<str:object_id>/<str:decision>", name="incident_decide", methods=["POST"])
    def decide(self, request: HttpRequest, object_id: str, decision: str) -> HttpResponse:
        """Do what a button of the page or of the banner asks for."""
        if not request.user.has_perm(DECIDE):
            raise PermissionDenied("This needs the permission to change incidents.")
        incident = find_or_404(Incident.objects.all(), object_id)
        act = _ACTS.get(decision)
        with telling_refusals(request):
            if act is None:
                messages.error(request, f"Use one of: {', '.join(_ACTS)}.")
            else:
                decided = act(incident, actor=actor_of(request))
                messages.success(request, decided.resolution or "Acknowledged.")
        return HttpResponseRedirect(page_of(incident))
