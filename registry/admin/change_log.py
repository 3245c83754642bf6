"""The log that discovery watchers follow."""

from __future__ import annotations

from django.contrib import admin

from core.admin.base import GrowingAdmin, ReadOnlyMixin
from core.admin.columns import column, moment_column
from registry.models import RegistryChange


@admin.register(RegistryChange)
class RegistryChangeAdmin(ReadOnlyMixin, GrowingAdmin):
    """Newest first."""

    list_display = ("service_name", "kind_label", "status_label", "when", "index")
    list_filter = ("kind", "status")
    search_fields = ("service_name__istartswith",)
    search_help_text = "The beginning of a service's name"
    ordering = ("-index",)
    fields = ("index", "service_name", "service_id", "kind_label", "status_label", "created_at")
    readonly_fields = fields

    kind_label = column("What happened", lambda row: row.get_kind_display())
    when = moment_column("When", "created_at")
