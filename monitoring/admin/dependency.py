"""Dependencies: which service needs which, said by a person."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.admin.base import HubAdmin, LifecycleMixin
from core.admin.columns import column
from core.admin.filters import RelatedFilter
from core.admin.formatting import status_badge
from core.admin.pages import page_of
from core.admin.refusals import add_refusal
from core.admin.views import own_view
from core.exceptions import Conflict, ValidationFailed
from monitoring.admin.service_map import show_map
from monitoring.dependencies import lifecycle
from monitoring.models import ServiceDependency
from registry.models import Service

FIELDS = ("service", "depends_on", "kind")


class ServiceDependencyForm(forms.ModelForm):
    """A dependency as a person makes it, or says how much it is needed."""

    class Meta:
        model = ServiceDependency
        fields = FIELDS
        labels = {"service": "Service", "depends_on": "Depends on", "kind": "How much"}
        help_texts = {
            "depends_on": "The service that it needs.",
            "kind": "Nobody is told of a service that does not work without another while that"
            " is down.",
        }

    def clean(self) -> Any:
        """Hold what was typed against the rules of dependencies."""
        data = super().clean()
        if not self.errors and self.instance._state.adding:
            try:
                lifecycle.check_dependency(ServiceDependency(**self.service_fields))
            except ValidationFailed as error:
                add_refusal(self, error)
            except Conflict as error:
                self.add_error("depends_on", str(error))
        return data

    def validate_unique(self) -> None:
        """Leave it to the rules, which say it in words."""

    @property
    def service_fields(self) -> dict[str, Any]:
        """What the service takes."""
        return {name: self.cleaned_data[name] for name in FIELDS if name in self.cleaned_data}


class NeedingFilter(RelatedFilter):
    """What one service needs."""

    title = "service"
    parameter_name = "service"
    model = Service


class NeededFilter(RelatedFilter):
    """What needs one service."""

    title = "depends on"
    parameter_name = "depends_on"
    model = Service


def _with_status(service: Service) -> SafeString:
    return format_html(
        '<a class="hub-link" href="{}">{}</a> {}',
        page_of(service),
        service.name,
        status_badge(service.status),
    )


@admin.register(ServiceDependency)
class ServiceDependencyAdmin(LifecycleMixin, HubAdmin):
    """Dependencies by the names of the services."""

    is_managed_by_files = True
    create_row = staticmethod(lifecycle.create_dependency)
    update_row = staticmethod(lifecycle.update_dependency)
    delete_row = staticmethod(lifecycle.delete_dependency)

    form = ServiceDependencyForm
    list_display = ("pair", "service_shown", "depends_on_shown", "kind_shown")
    list_filter = ("kind", NeedingFilter, NeededFilter)
    list_select_related = ("service", "depends_on")
    search_fields = ("service__name", "depends_on__name")
    search_help_text = "A service"
    autocomplete_fields = ("service", "depends_on")
    fieldsets = ((None, {"fields": FIELDS}),)

    list_before_template = "console/dependency_shortcuts.html"

    @own_view("map", name="service_map", methods=["GET"], permissions=["view"])
    def service_map(self, request: HttpRequest) -> HttpResponse:
        """Show which service needs which as a picture and as a list."""
        return show_map(self, request)

    pair = column("Dependency", str, ordering="service__name")
    service_shown = column("Service", lambda row: _with_status(row.service))
    depends_on_shown = column("Depends on", lambda row: _with_status(row.depends_on))
    kind_shown = column("How much", lambda row: row.get_kind_display(), ordering="kind")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ServiceDependency]:
        return ServiceDependency.objects.select_related("service", "depends_on")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("service", "depends_on") if obj else ()
