"""Credentials: a secret goes in and never comes out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.response import Response

from core.api.actions import nested_list, post_action
from core.api.fields import ObjectField, SecretField, VocabularyField
from core.api.instants import InstantField
from core.api.named_resource import NamedResourceViewSet
from core.api.patches import PatchSerializer
from core.api.query_filters import NumberFilter, SearchFilter, VocabularyFilter
from core.api.serializers import AnswerSerializer, StrictSerializer
from core.json.merge_patch import MergePatch
from registry.credentials import lifecycle
from registry.credentials.health import CredentialState, state_of, warnings_of
from registry.models import Credential, CredentialEvent, CredentialEventKind, CredentialType


class CredentialSerializer(AnswerSerializer):
    """A credential in an answer."""

    type = VocabularyField(CredentialType)
    attributes = ObjectField()
    allowed_origins = serializers.ListField(child=serializers.CharField())
    has_secret = serializers.BooleanField()
    state = serializers.SerializerMethodField()
    warnings = serializers.SerializerMethodField()
    large = ("description", "attributes", "allowed_origins", "warnings")
    whole_at = "/registry/credentials/{row.pk}"

    class Meta:
        model = Credential
        fields = (
            "id", "name", "type", "description", "attributes", "allowed_origins", "has_secret",
            "fingerprint", "key_id", "state", "warnings", "expires_at", "rotated_at",
            "last_used_at", "created_at", "updated_at",
        )  # fmt: skip

    @extend_schema_field(serializers.ChoiceField(CredentialState.choices))
    def get_state(self, credential: Credential) -> str:
        return state_of(credential, now=timezone.now()).value

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_warnings(self, credential: Credential) -> list[str]:
        return warnings_of(credential, now=timezone.now())


class CredentialInput(StrictSerializer):
    """A credential as it is made or changed."""

    name = serializers.CharField(max_length=100)
    type = VocabularyField(CredentialType)
    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    attributes = ObjectField(required=False)
    allowed_origins = serializers.ListField(
        child=serializers.CharField(max_length=300), required=False, max_length=50
    )
    expires_at = InstantField(required=False, allow_null=True)
    secret = SecretField(required=False)


class NewCredentialInput(CredentialInput):
    """A credential as it is made; a draft may have no secret yet."""

    draft = serializers.BooleanField(required=False)


class CredentialPatch(PatchSerializer, CredentialInput):
    """A change of a credential; a secret that is given replaces the old one with all its parts."""

    model = Credential
    lasting = frozenset({"secret"})
    merged = frozenset({"attributes"})


class RotationInput(StrictSerializer):
    """A new secret, and what changes with it."""

    secret = SecretField()
    attributes = ObjectField(required=False)
    expires_at = InstantField(required=False, allow_null=True)

    def validate_attributes(self, value: dict[str, Any]) -> MergePatch:
        return MergePatch(value)


class CredentialEventSerializer(AnswerSerializer):
    """An entry of the audit trail; uses are counted by the hour."""

    kind = VocabularyField(CredentialEventKind)

    class Meta:
        model = CredentialEvent
        fields = (
            "id", "kind", "actor", "subject", "detail", "count", "request_id", "created_at",
            "updated_at",
        )  # fmt: skip


class CredentialFilter(django_filters.FilterSet):
    """Filters of the list of credentials."""

    type = VocabularyFilter(CredentialType)
    expiring = NumberFilter(
        method="ending_within", min_value=0, max_value=36500, label="Ends within so many days."
    )
    search = SearchFilter()

    def ending_within(self, queryset: QuerySet[Credential], _: str, value: Any) -> Any:
        return queryset.filter(expires_at__lte=timezone.now() + timedelta(days=float(value)))


class CredentialViewSet(NamedResourceViewSet):
    """`/registry/credentials`."""

    queryset = Credential.objects.all()
    serializer_class = CredentialSerializer
    input_class = NewCredentialInput
    patch_class = CredentialPatch
    filterset_class = CredentialFilter
    ordering_fields = ("name", "type", "expires_at", "last_used_at", "created_at", "updated_at")
    cursor_order = "-id"
    read_scope = "credentials:read|credentials:write"
    write_scope = "credentials:write"
    scopes = {"rotate": write_scope, "events": "audit:read|credentials:write"}

    def get_rows(self) -> Any:
        """The credentials without their secrets, by name unless ordered otherwise."""
        return Credential.objects.order_by("name")

    def find(self) -> Credential:
        """One credential without its secret, by id or name."""
        return lifecycle.get_credential(self.kwargs["pk"])

    def perform_create(self, fields: dict[str, Any]) -> Credential:
        """Make a credential; its secret is sealed and never answered."""
        return lifecycle.create_credential(fields, actor=self.actor)

    def perform_update(self, row: Any, fields: dict[str, Any], *, if_unchanged: bool) -> Credential:
        """Change what is given and leave the rest; a new destination takes the secret again."""
        return lifecycle.update_credential(row, fields, actor=self.actor, if_unchanged=if_unchanged)

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Forget a credential that no service uses; its audit trail stays."""
        lifecycle.delete_credential(row, actor=self.actor, if_unchanged=if_unchanged)

    @post_action(request=RotationInput, responses=CredentialSerializer)
    def rotate(self, request: Any, pk: str) -> Response:
        """Replace the secret; calls that begin from now on carry the new one."""
        credential = self.find()
        fields = self.read(RotationInput)
        return self.answer(lifecycle.rotate_credential(credential, fields, actor=self.actor))

    @nested_list(CredentialEventSerializer)
    def events(self, request: Any, pk: str) -> Response:
        """The audit trail of a credential, the latest entry first."""
        rows = CredentialEvent.objects.of(self.find())
        return self.answer_page(rows.order_by("-id"), CredentialEventSerializer)
