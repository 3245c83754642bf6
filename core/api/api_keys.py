"""API keys: issued with their text once, listed without it, changed, revoked."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.response import Response

from core import api_keys
from core.api.actions import post_action
from core.api.fields import VocabularyField
from core.api.instants import InstantField
from core.api.named_resource import NamedResourceViewSet
from core.api.patches import PatchSerializer
from core.api.preconditions import etag_of
from core.api.query_filters import SearchFilter, VocabularyFilter
from core.api.serializers import AnswerSerializer, StrictSerializer
from core.models import ApiKey, KeyState
from core.models.api_key import MOST_REQUESTS
from core.name_patterns import MOST_PATTERNS
from core.roles import SCOPES, Role

MOST_NETWORKS = 50


class KeySerializer(AnswerSerializer):
    """A key in an answer: what it may do, never its text."""

    role = VocabularyField(Role)
    scopes = serializers.ListField(child=serializers.CharField())
    effective_scopes = serializers.SerializerMethodField()
    networks = serializers.ListField(child=serializers.CharField())
    service_names = serializers.ListField(child=serializers.CharField())
    service_types = serializers.ListField(child=serializers.CharField())
    state = serializers.SerializerMethodField()
    large = ("networks", "service_names", "service_types")
    whole_at = "/keys/{row.pk}"

    class Meta:
        model = ApiKey
        fields = (
            "id", "name", "prefix", "role", "scopes", "effective_scopes", "networks",
            "service_names", "service_types", "requests_per_minute", "state", "expires_at",
            "revoked_at", "last_used_at", "created_at", "updated_at",
        )  # fmt: skip

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_effective_scopes(self, key: ApiKey) -> list[str]:
        return sorted(key.effective_scopes())

    @extend_schema_field(serializers.ChoiceField(KeyState.choices))
    def get_state(self, key: ApiKey) -> str:
        return key.state_at(timezone.now()).value


class IssuedKeySerializer(KeySerializer):
    """A new key with its text, which no other answer has."""

    key = serializers.CharField(read_only=True)

    class Meta(KeySerializer.Meta):
        fields = ("key", *KeySerializer.Meta.fields)  # type: ignore[assignment]


class KeyInput(StrictSerializer):
    """A key as it is made or changed."""

    name = serializers.CharField(max_length=100)
    role = VocabularyField(Role, required=False)
    scopes = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, max_length=len(SCOPES)
    )
    networks = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, max_length=MOST_NETWORKS
    )
    service_names = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, max_length=MOST_PATTERNS
    )
    service_types = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, max_length=MOST_PATTERNS
    )
    requests_per_minute = serializers.IntegerField(
        min_value=0, max_value=MOST_REQUESTS, required=False, allow_null=True
    )
    expires_at = InstantField(required=False, allow_null=True)


class KeyPatch(PatchSerializer, KeyInput):
    """A change of a key; its text stays."""

    model = ApiKey


class KeyFilter(django_filters.FilterSet):
    """Filters of the list of keys."""

    role = VocabularyFilter(Role)
    state = VocabularyFilter(KeyState, method="in_state")
    search = SearchFilter("name__icontains", "prefix__istartswith")

    def in_state(self, queryset: QuerySet[ApiKey], _: str, value: str) -> QuerySet[ApiKey]:
        has_ended = Q(expires_at__isnull=False, expires_at__lte=timezone.now())
        of_state = {
            KeyState.REVOKED: Q(revoked_at__isnull=False),
            KeyState.EXPIRED: Q(revoked_at=None) & has_ended,
            KeyState.USABLE: Q(revoked_at=None) & ~has_ended,
        }
        wanted = Q()
        for word in value.split(","):
            wanted |= of_state[KeyState.parse(word)]
        return queryset.filter(wanted)


class KeyViewSet(NamedResourceViewSet):
    """`/keys`."""

    queryset = ApiKey.objects.all()
    serializer_class = KeySerializer
    input_class = KeyInput
    patch_class = KeyPatch
    filterset_class = KeyFilter
    ordering_fields = ("name", "role", "expires_at", "last_used_at", "created_at", "updated_at")
    read_scope = "audit:read|keys:write"
    write_scope = "keys:write"
    scopes = {"revoke": write_scope}
    # An answer that is kept to be given again would keep the text of the key; the name is taken.
    own_keys = frozenset({"create"})

    @property
    def grantable(self) -> api_keys.Grantable:
        """What a key of the caller may do at most: what the caller may."""
        return api_keys.Grantable(
            self.caller.scopes,
            names=self.caller.service_names or ("*",),
            types=("*",) if self.caller.may("registry:operate") else self.caller.service_types,
        )

    def get_rows(self) -> Any:
        """The keys without their texts, by name unless ordered otherwise."""
        return ApiKey.objects.order_by("name")

    def find(self) -> ApiKey:
        """One key without its text, by id or name."""
        return api_keys.get_key(self.kwargs["pk"])

    @extend_schema(request=KeyInput, responses={201: IssuedKeySerializer})
    def create(self, request: Any) -> Response:
        """Make a key; `key` is its text, which is answered this once."""
        made, text = api_keys.issue_key(self.read(KeyInput), may_grant=self.grantable)
        made.key = text  # type: ignore[attr-defined]
        headers = {"ETag": etag_of(made), "Cache-Control": "no-store"}
        return Response(IssuedKeySerializer(made).data, status=201, headers=headers)

    def perform_update(self, row: Any, fields: dict[str, Any], *, if_unchanged: bool) -> ApiKey:
        """Change what is given and leave the rest; the text of the key stays."""
        return api_keys.update_key(row, fields, may_grant=self.grantable, if_unchanged=if_unchanged)

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Forget a key, which is refused from now on; its name may be used again."""
        api_keys.delete_key(row, if_unchanged=if_unchanged)

    @post_action(responses=KeySerializer)
    def revoke(self, request: Any, pk: str) -> Response:
        """Refuse the key from now on; this cannot be undone."""
        return self.answer(api_keys.revoke_key(self.find()))
