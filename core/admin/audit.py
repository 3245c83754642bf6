"""The audit trail: one list of who did what to which object and why."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from unfold.decorators import display

from core.admin.base import GrowingAdmin, ReadOnlyMixin
from core.admin.columns import column, moment_column, text_column
from core.admin.formatting import NOTHING
from core.admin.history import describe, kind_of, url_of
from core.models import AuditEntry
from core.models.audit import ActorKind, object_type_of

MOST_NAMED = 3


class ObjectFilter(admin.SimpleListFilter):
    """One kind of object; the kinds are those of the admin, so that no row is read for them."""

    title = "kind of object"
    parameter_name = "object_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        models = filter(model_admin.admin_site.is_registered, apps.get_models())
        kinds = {object_type_of(model): str(model._meta.verbose_name) for model in models}
        return sorted(kinds.items(), key=lambda kind: kind[1].lower())

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(object_type=self.value()) if self.value() else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyMixin, GrowingAdmin):
    """Newest first."""

    list_display = ("when", "who", "verb_label", "object_label", "changed", "why")
    list_filter = ("verb", "actor_kind", ObjectFilter)
    search_fields = (
        "actor__istartswith",
        "object_name__istartswith",
        "object_id__exact",
        "request_id__exact",
    )
    search_help_text = "The beginning of who did it or of an object's name, or an id"
    ordering = ("-id",)
    fields = (
        "when", "who", "verb_label", "object_label", "why", "changes_label", "request_id",
    )  # fmt: skip
    readonly_fields = fields

    when = moment_column("When", "created_at")
    verb_label = column("Did", AuditEntry.get_verb_display)
    why = text_column("Why", "reason")

    @display(description="Who")
    def who(self, entry: AuditEntry) -> str:
        if entry.actor_kind == ActorKind.USER:
            return entry.actor
        label = entry.get_actor_kind_display()
        return format_html('{} <span class="hub-dim">{}</span>', entry.actor, label)

    @display(description="To")
    def object_label(self, entry: AuditEntry) -> str:
        kind, url = kind_of(entry), url_of(entry)
        if not url:
            return format_html('{} <span class="hub-dim">{}</span>', entry.object_name, kind)
        return format_html(
            '<a class="hub-link" href="{}">{}</a> <span class="hub-dim">{}</span>',
            url, entry.object_name, kind,
        )  # fmt: skip

    @display(description="What of it")
    def changed(self, entry: AuditEntry) -> str:
        names = [change["name"] for change in describe(entry)["changes"]]
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        return ", ".join(names[:MOST_NAMED]) + more or NOTHING

    @display(description="Changes")
    def changes_label(self, entry: AuditEntry) -> str:
        lines = ((_change_line(change),) for change in describe(entry)["changes"])
        return format_html_join("", "{}", lines) if entry.changes else NOTHING


def _change_line(change: dict[str, object]) -> str:
    if "is_change" in change:
        return format_html("<p>{name}: {before} → {after}</p>", **change)
    return format_html("<p>{name}: {after}</p>", **change)
