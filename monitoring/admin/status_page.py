"""Status pages: what is shown outside, and to whom."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display

from core.admin.base import HubAdmin, LifecycleMixin, find_or_404
from core.admin.columns import column
from core.admin.views import own_view
from monitoring.admin.status_page_form import StatusPageForm
from monitoring.models import PageVisibility, StatusPage
from monitoring.status_pages import lifecycle
from monitoring.status_pages.components import shown_components, to_lines
from monitoring.status_pages.forms import render_html
from monitoring.status_pages.keeping import Kept
from monitoring.status_pages.reading import read_page

_TONES = {PageVisibility.PUBLIC: "good", PageVisibility.KEY: "info"}


@admin.register(StatusPage)
class StatusPageAdmin(LifecycleMixin, HubAdmin):
    """Pages by name; each with its address and a preview."""

    is_managed_by_files = True
    create_row = staticmethod(lifecycle.create_page)
    update_row = staticmethod(lifecycle.update_page)
    delete_row = staticmethod(lifecycle.delete_page)

    form = StatusPageForm
    list_display = ("name", "title", "shown_to", "counted", "address")
    list_filter = ("visibility",)
    search_fields = ("name", "title", "description")
    search_help_text = "Name, title or description"
    ordering = ("name",)
    change_form_outer_before_template = "console/status_page_summary.html"
    fieldsets = (
        (None, {"fields": ("name", "title", "visibility", "description")}),
        ("What is shown", {"fields": ("lines", "show_uptime", "show_outages", "maintenance")}),
    )

    @display(description="Shown to", ordering="visibility")
    def shown_to(self, row: StatusPage) -> str:
        return format_html(
            '<span class="hub-status" data-tone="{}">{}</span>',
            _TONES.get(PageVisibility(row.visibility), "neutral"),
            row.get_visibility_display(),
        )

    counted = column("Components", lambda row: str(len(row.components)))

    @display(description="Address")
    def address(self, row: StatusPage) -> str:
        url = f"/status/{quote(row.name)}"
        if row.visibility == PageVisibility.OFF:
            return url
        return format_html('<a class="hub-link" href="{}">{}</a>', url, url)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        found = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return found
        shown = ("lines_shown", *found[1][1]["fields"][1:])
        return (found[0], ("What is shown", {"fields": shown}))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        only_looks = obj and not self.has_change_permission(request, obj)
        return ("lines_shown",) if only_looks else super().get_readonly_fields(request, obj)

    lines_shown = column(
        "Components", lambda row: to_lines(shown_components(row.components)) or "None."
    )

    def summary(self, request: HttpRequest, row: StatusPage) -> dict[str, Any]:
        """Return where the page is."""
        url = f"/status/{quote(row.name)}"
        return {
            "page_path": url,
            "page_url": request.build_absolute_uri(url),
            "is_off": row.visibility == PageVisibility.OFF,
        }

    @own_view("<str:object_id>/preview", name="status_page_preview", methods=["GET"])
    def preview(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the page as visitors would see it now, whether it is off or not."""
        row = find_or_404(StatusPage.objects.all(), object_id)
        kept = Kept(read_page(row, now=timezone.now()))
        return HttpResponse(render_html(kept, base=f"/status/{quote(row.name)}", refresh=False))
