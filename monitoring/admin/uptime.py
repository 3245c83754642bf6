"""How services were: 90 days of each, and the spans behind them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from core.admin.base import GrowingAdmin, ReadOnlyMixin
from core.admin.columns import column, moment_column, text_column
from core.admin.formatting import NOTHING, duration
from monitoring.models import StatusSpan
from monitoring.uptime.board import MOST_SERVICES, read_board


@admin.register(StatusSpan)
class StatusSpanAdmin(ReadOnlyMixin, GrowingAdmin):
    """The spans, the latest first, below the last 90 days of each service."""

    list_display = ("service_name", "status_label", "version_shown", "began", "ended", "lasted")
    list_display_links = None
    list_filter = ("status",)
    list_select_related = ("service",)
    search_fields = ("service__name__istartswith",)
    search_help_text = "The beginning of a service's name"
    list_before_template = "console/uptime_board.html"
    ordering = ("-id",)
    fields = ("service", "status_label", "version", "began", "ended", "lasted")
    readonly_fields = fields

    service_name = text_column("Service", "service.name")
    version_shown = column("Version", lambda row: row.version or NOTHING)
    began = moment_column("Began", "started_at")
    ended = moment_column("Ended", "ended_at", empty="lasts")
    lasted = column("Lasted", lambda row: duration(row.started_at, row.ended_at))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        narrowed = bool(request.GET)
        more = {
            "title": "Uptime",
            "board": [] if narrowed else read_board(now=timezone.now()),
            "most_services": MOST_SERVICES,
        }
        return super().changelist_view(request, {**(extra_context or {}), **more})
