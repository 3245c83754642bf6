"""The log that discovery watchers follow."""

from __future__ import annotations

from django.contrib import admin
from unfold.decorators import display

from core.admin.base import GrowingAdmin, ReadOnlyMixin
from core.admin.formatting import moment
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

    @display(description="What happened")
    def kind_label(self, change: RegistryChange) -> str:
        return change.get_kind_display()

    @display(description="When")
    def when(self, change: RegistryChange) -> str:
        return moment(change.created_at)
