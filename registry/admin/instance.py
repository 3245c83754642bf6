"""Instances: the places where services answer."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from core.admin.base import PartAdmin
from core.admin.columns import column, moment_column
from core.admin.formatting import NOTHING, moment, status_badge
from registry import services
from registry.admin.acceptance import registrant_of
from registry.admin.maintenance import MaintainedAdmin
from registry.admin.service_forms import InstanceForm
from registry.models import ServiceInstance
from registry.models.status import explain_status
from registry.policies.registering import check_weight
from registry.services.probes import describe_probing

WRITABLE = ("health_url", "version", "zone", "weight", "ttl_seconds", "metadata")


@admin.register(ServiceInstance)
class ServiceInstanceAdmin(PartAdmin, MaintainedAdmin):
    """Every instance of every service, the quietest found by its status and last heartbeat."""

    form = InstanceForm
    list_display = ("url", "service", "status_label", "heartbeat", "version", "zone", "weight")
    list_filter = ("status", "zone")
    list_select_related = ("service",)
    search_fields = ("service__name", "url")
    search_help_text = "Service or URL"
    ordering = ("service__name", "url")
    autocomplete_fields = ("service",)
    readonly_fields = (
        "status_label",
        "reason_label",
        "maintenance_label",
        "heartbeat",
        "answer_label",
        "expires_at",
        "expired_at",
        "suspected_at",
        "probe_label",
        "aliases_label",
        "registered_at",
        "created_at",
        "updated_at",
    )
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "service",
                    "url",
                    "health_url",
                    "status_label",
                    "reason_label",
                    "maintenance_label",
                    "heartbeat",
                    "answer_label",
                    "probe_label",
                    "aliases_label",
                )
            },
        ),
        ("Choosing", {"fields": ("version", "zone", "weight", "ttl_seconds", "metadata")}),
        (
            "Times",
            {
                "fields": (
                    "registered_at",
                    "expires_at",
                    "suspected_at",
                    "expired_at",
                    "updated_at",
                )
            },
        ),
    )
    add_fieldsets = ((None, {"fields": ("service", "url", *WRITABLE)}),)

    status_label = column(
        "Status",
        lambda row: status_badge("SUSPECT" if row.suspect else row.status),
        ordering="status",
    )
    reason_label = column("Why", lambda row: explain_status(row, now=timezone.now()) or NOTHING)
    answer_label = moment_column("Last good answer", "last_answer_at")

    @display(description="Last heartbeat", ordering="last_heartbeat_at")
    def heartbeat(self, instance: ServiceInstance) -> str:
        return moment(instance.last_heartbeat_at) if instance.has_beaten else "none yet"

    @display(description="Recent answers")
    def probe_label(self, instance: ServiceInstance) -> str:
        parts = [describe_probing(instance, instance.service), instance.probe_error]
        return " · ".join(part for part in parts if part) or NOTHING

    @display(description="Also known as")
    def aliases_label(self, instance: ServiceInstance) -> str:
        return ", ".join(alias.alias for alias in instance.aliases.all()) or NOTHING

    def get_queryset(self, request: HttpRequest) -> QuerySet[ServiceInstance]:
        return super().get_queryset(request).select_related("service")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("service", "url", *self.readonly_fields) if obj else self.readonly_fields

    def save_model(
        self, request: HttpRequest, obj: ServiceInstance, form: Any, change: bool
    ) -> None:
        """Write only what the form has: heartbeats arrive meanwhile."""
        registrant = registrant_of(request)
        if change:
            before = form.initial.get("weight", obj.weight)
            check_weight(registrant, obj.weight, before=before)
            changed = [name for name in WRITABLE if name in form.changed_data]
            obj.save(update_fields=(*changed, "updated_at"))
            services.log_changed_parts(obj.service)
            return
        fields = {name: getattr(obj, name) for name in WRITABLE}
        services.add_instance(obj.service, url=obj.url, fields=fields, registrant=registrant)
        obj.pk = obj.service.instances.values_list("pk", flat=True).get(url=obj.url)

    def set_status(self, row: ServiceInstance, status: str, **order: Any) -> object:
        return services.set_instance_status(row.service, str(row.pk), status, **order)

    def lift(self, row: ServiceInstance, *, actor: str) -> object:
        return services.lift_instance_maintenance(row, actor=actor)

    def delete_model(self, request: HttpRequest, obj: ServiceInstance) -> None:
        services.remove_instance(obj.service, str(obj.pk))
