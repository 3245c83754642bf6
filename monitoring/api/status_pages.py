"""Status pages as resources: what they show, and to whom."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers

from core.api.fields import ObjectField, VocabularyField
from core.api.named_resource import NamedResourceViewSet
from core.api.patches import PatchSerializer
from core.api.query_filters import SearchFilter, VocabularyFilter
from core.api.serializers import AnswerSerializer, StrictSerializer
from monitoring.models import PageVisibility, StatusPage
from monitoring.status_pages import lifecycle
from monitoring.status_pages.components import MOST, shown_components
from registry.policies.uptime import MaintenancePolicy

_COMPONENTS = 'Objects such as {"service": "shop", "name": "Checkout", "group": "Store"}.'


class StatusPageSerializer(AnswerSerializer):
    """A status page in an answer; the page itself is at `/status/<name>`."""

    visibility = VocabularyField(PageVisibility)
    maintenance = VocabularyField(MaintenancePolicy)
    components = serializers.SerializerMethodField()
    large = ("description", "components")
    whole_at = "/monitoring/status-pages/{row.pk}"

    class Meta:
        model = StatusPage
        fields = (
            "id", "name", "title", "description", "visibility", "components", "maintenance",
            "show_uptime", "show_outages", "created_at", "updated_at",
        )  # fmt: skip

    def get_components(self, row: StatusPage) -> list[dict[str, str]]:
        """Return the components by the names of their services."""
        return shown_components(row.components)


class StatusPageInput(StrictSerializer):
    """A status page as it is made or changed."""

    name = serializers.CharField(max_length=100)
    title = serializers.CharField(max_length=100, allow_blank=True, required=False)
    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    visibility = VocabularyField(PageVisibility, required=False)
    components = serializers.ListField(
        child=ObjectField(), required=False, max_length=MOST, help_text=_COMPONENTS
    )
    maintenance = VocabularyField(MaintenancePolicy, required=False)
    show_uptime = serializers.BooleanField(required=False)
    show_outages = serializers.BooleanField(required=False)


class StatusPagePatch(PatchSerializer, StatusPageInput):
    """A change of a status page; its components are replaced as a whole."""

    model = StatusPage


class StatusPageFilter(django_filters.FilterSet):
    """Filters of the list of status pages."""

    visibility = VocabularyFilter(PageVisibility)
    search = SearchFilter("name__icontains", "title__icontains", "description__icontains")


class StatusPageViewSet(NamedResourceViewSet):
    """`/monitoring/status-pages`."""

    queryset = StatusPage.objects.all()
    serializer_class = StatusPageSerializer
    input_class = StatusPageInput
    patch_class = StatusPagePatch
    filterset_class = StatusPageFilter
    ordering_fields = ("name", "visibility", "created_at", "updated_at")
    read_scope = "registry:read"
    write_scope = "registry:write"

    def get_rows(self) -> Any:
        """The status pages, by name unless ordered otherwise."""
        return self.get_queryset().order_by("name")

    def find(self) -> StatusPage:
        """One status page, by id or name."""
        return lifecycle.get_page(self.kwargs["pk"])

    def perform_create(self, fields: dict[str, Any]) -> StatusPage:
        """Make a status page; nobody sees it before its `visibility` says so."""
        return lifecycle.create_page(fields, actor=self.actor)

    def perform_update(self, row: Any, fields: dict[str, Any], *, if_unchanged: bool) -> Any:
        """Change what is given and leave the rest; null takes a setting away."""
        return lifecycle.update_page(row, fields, actor=self.actor, if_unchanged=if_unchanged)

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Delete a status page."""
        lifecycle.delete_page(row, actor=self.actor, if_unchanged=if_unchanged)
