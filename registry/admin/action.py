"""Actions: what services can do."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from core.admin.base import PartAdmin, actor_of
from core.admin.columns import column
from registry import services
from registry.admin.credential import may_use_credentials
from registry.admin.service_forms import ActionForm
from registry.credentials.grants import grant_actions
from registry.models import Service, ServiceAction


@admin.register(ServiceAction)
class ServiceActionAdmin(PartAdmin):
    """Every action of every service, with the shape of what it takes and answers."""

    form = ActionForm
    list_display = ("name", "service", "call", "idempotent", "timeout_seconds")
    list_filter = ("method", "idempotent")
    list_select_related = ("service",)
    search_fields = ("name", "service__name", "description")
    search_help_text = "Action, service or description"
    ordering = ("service__name", "name")
    autocomplete_fields = ("service",)
    fieldsets = (
        (None, {"fields": ("service", "name", "description")}),
        ("Call", {"fields": ("method", "path", "timeout_seconds", "idempotent")}),
        ("Shapes", {"fields": ("input_schema", "unknown_fields", "output_schema")}),
    )

    call = column("Called as", lambda row: f"{row.method} {row.path or '/' + row.name}")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ServiceAction]:
        return super().get_queryset(request).select_related("service")

    def save_model(self, request: HttpRequest, obj: ServiceAction, form: Any, change: bool) -> None:
        if "service" in form.changed_data:
            obj.credential_grant = {}  # it was for the service before
        super().save_model(request, obj, form, change)
        if may_use_credentials(request):
            grant_actions(obj.service, actor=actor_of(request), names={obj.name})
        services.log_changed_parts(obj.service)
        if change and "service" in form.changed_data:
            services.log_changed_parts(Service.objects.get(pk=form.initial["service"]))

    def delete_model(self, request: HttpRequest, obj: ServiceAction) -> None:
        super().delete_model(request, obj)
        services.log_changed_parts(obj.service)
