"""Calls in the shapes of the earlier system, by route and caller."""

from __future__ import annotations

from django.contrib import admin

from core.admin.base import GrowingAdmin, ReadOnlyMixin
from core.admin.columns import column, moment_column
from core.models import LegacyCall


@admin.register(LegacyCall)
class LegacyCallAdmin(ReadOnlyMixin, GrowingAdmin):
    """The latest first: once nobody calls any more, LEGACY_API can be switched off."""

    list_display = ("route", "caller_label", "calls", "last", "first")
    search_fields = ("route__icontains", "caller__istartswith")
    search_help_text = "A part of the route, or the beginning of the caller's name"
    ordering = ("-last_at",)
    fields = ("route", "caller_label", "calls", "last", "first")
    readonly_fields = fields

    caller_label = column("Caller", lambda row: row.caller or "nobody known")
    last = moment_column("Last", "last_at")
    first = moment_column("First", "created_at")
