"""The audit trail: who did what to which object, when and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import django_filters
from rest_framework.response import Response

from core.api.fields import ObjectField, VocabularyField
from core.api.instants import InstantFilter
from core.api.pagination import GrowingListPagination
from core.api.query_filters import TextFilter, VocabularyFilter
from core.api.serializers import AnswerSerializer, represent
from core.api.viewsets import ResourceViewSet
from core.db.uuid7 import uuid7_at
from core.exceptions import NotFound
from core.identifiers import read_id
from core.models import ActorKind, AuditEntry, AuditVerb

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class AuditEntrySerializer(AnswerSerializer):
    """An entry in an answer."""

    actor_kind = VocabularyField(ActorKind)
    verb = VocabularyField(AuditVerb)
    changes = ObjectField()
    large = ("changes",)
    whole_at = "/audit/{row.pk}"

    class Meta:
        model = AuditEntry
        fields = (
            "id", "created_at", "actor_kind", "actor", "actor_id", "verb", "object_type",
            "object_id", "object_name", "reason", "changes", "request_id",
        )  # fmt: skip


class AuditFilter(django_filters.FilterSet):
    """Filters of the audit trail."""

    actor = TextFilter()
    actor_kind = VocabularyFilter(ActorKind)
    verb = VocabularyFilter(AuditVerb)
    object_type = TextFilter()
    object_id = TextFilter()
    object_name = TextFilter()
    request_id = TextFilter()
    created_after = InstantFilter(method="since")
    created_before = InstantFilter(method="until")

    def since(self, queryset: Any, _: str, value: Any) -> Any:
        return queryset.filter(pk__gte=uuid7_at(max(value, EPOCH)))

    def until(self, queryset: Any, _: str, value: Any) -> Any:
        return queryset.filter(pk__lt=uuid7_at(max(value, EPOCH)))


class AuditViewSet(ResourceViewSet):
    """`/audit`."""

    queryset = AuditEntry.objects.all()
    serializer_class = AuditEntrySerializer
    filterset_class = AuditFilter
    ordering_fields = ()
    pagination_class = GrowingListPagination
    scopes = {"list": "audit:read", "retrieve": "audit:read"}

    def list(self, request: Any) -> Response:
        """What persons and programs did, the latest first."""
        return self.answer_page(AuditEntry.objects.order_by("-id"), AuditEntrySerializer)

    def retrieve(self, request: Any, pk: str) -> Response:
        """One entry, by its id."""
        key = read_id(pk)
        entry = AuditEntry.objects.filter(pk=key).first() if key else None
        if entry is None:
            raise NotFound(f"There is no entry with the id '{pk[:100]}'.")
        return Response(represent(AuditEntrySerializer, entry))
