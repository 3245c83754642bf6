"""Shows what retention would delete now, and what it deleted."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from unfold.decorators import display

from core.admin.base import GrowingAdmin, ReadOnlyMixin
from core.admin.columns import duration_column, moment_column, text_column
from workflows.models import PurgeRun, RetentionClass
from workflows.services.retention.purge import due_by_class


@admin.register(PurgeRun)
class PurgeRunAdmin(ReadOnlyMixin, GrowingAdmin):
    """Newest first, below what is due."""

    list_display = ("when", "executions", "steps", "classes", "who", "took")
    list_display_links = None
    list_before_template = "console/retention.html"
    ordering = ("-id",)
    fields = ("started_at", "completed_at", "executions", "steps", "classes", "who")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        more = {
            "title": "Retention",
            "retention": due_by_class(),
            "default": RetentionClass(settings.RETENTION_DEFAULT).label,
            "failed_days": settings.RETENTION_FAILED_DAYS,
        }
        return super().changelist_view(request, {**(extra_context or {}), **more})

    when = moment_column("Purged", "started_at")
    who = text_column("By", "actor")
    took = duration_column()

    @display(description="Of the classes")
    def classes(self, run: PurgeRun) -> str:
        return ", ".join(f"{count} {name.lower()}" for name, count in run.by_class.items())
