"""Connections: made, changed, tested, switched off and on."""

from __future__ import annotations

from functools import partial
from typing import Any

import django_filters
from rest_framework import serializers
from rest_framework.response import Response

from core.api.actions import post_action
from core.api.fields import ObjectField, VocabularyField
from core.api.named_resource import NamedResourceViewSet
from core.api.patches import PatchSerializer
from core.api.query_filters import NameFilter, SearchFilter, VocabularyFilter
from core.api.serializers import AnswerSerializer, StrictSerializer
from core.api.suspension import apart
from core.models.audit import MAX_REASON
from registry.api.grants import awaiting_field
from registry.connections import lifecycle
from registry.connections.lifecycle import ConnectionEditor
from registry.connections.scheduled_checks import run_test
from registry.credentials.dependants import GrantChoice
from registry.models import (
    Connection,
    ConnectionDriver,
    ConnectionStatus,
    ConnectionType,
    Criticality,
)
from registry.models.connection import LONGEST_INTERVAL_SECONDS


class TrialSerializer(serializers.Serializer[Any]):
    """What a test tried, how long it took in milliseconds, what was answered, and what to do."""

    tried = serializers.CharField()
    took_ms = serializers.FloatField(allow_null=True)
    answered = serializers.CharField()
    advice = serializers.CharField(allow_blank=True)
    success = serializers.BooleanField()
    status = VocabularyField(ConnectionStatus)
    checked_at = serializers.DateTimeField()


class ConnectionSerializer(AnswerSerializer):
    """A connection in an answer; its secret is a credential and is never answered."""

    type = VocabularyField(ConnectionType)
    driver = VocabularyField(ConnectionDriver)
    status = VocabularyField(ConnectionStatus)
    criticality = VocabularyField(Criticality)
    address = serializers.CharField()
    credential = serializers.CharField(source="credential.name", default=None, allow_null=True)
    config = ObjectField()
    breaker = ObjectField()
    limits = ObjectField()
    last_result = ObjectField()
    awaiting_grant = awaiting_field()
    large = (
        "description", "config", "breaker", "limits", "last_result", "last_error",
        "disabled_reason",
    )  # fmt: skip
    whole_at = "/registry/connections/{row.pk}"

    class Meta:
        model = Connection
        fields = (
            "id", "name", "type", "driver", "description", "status", "address", "base_url", "host",
            "port", "database", "username", "credential", "config", "criticality", "breaker",
            "limits", "check_interval_seconds", "last_checked_at", "last_error", "last_result",
            "disabled_at", "disabled_by", "disabled_reason", "created_at", "updated_at",
            "awaiting_grant",
        )  # fmt: skip


class ConnectionInput(StrictSerializer):
    """A connection as it is made or changed."""

    name = serializers.CharField(max_length=100)
    type = VocabularyField(ConnectionType)
    driver = VocabularyField(ConnectionDriver, required=False)
    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    base_url = serializers.CharField(max_length=500, allow_blank=True, required=False)
    host = serializers.CharField(max_length=253, allow_blank=True, required=False)
    port = serializers.IntegerField(min_value=1, max_value=65535, allow_null=True, required=False)
    database = serializers.CharField(max_length=200, allow_blank=True, required=False)
    username = serializers.CharField(max_length=200, allow_blank=True, required=False)
    credential = serializers.CharField(
        max_length=100, allow_blank=True, allow_null=True, required=False
    )
    config = ObjectField(required=False)
    criticality = VocabularyField(Criticality, required=False)
    breaker = ObjectField(required=False)
    limits = ObjectField(required=False)
    check_interval_seconds = serializers.IntegerField(
        min_value=0, max_value=LONGEST_INTERVAL_SECONDS, required=False
    )
    other_names = {"connection_type": "type", "url": "base_url", "configuration": "config"}


class ConnectionPatch(PatchSerializer, ConnectionInput):
    """A change of a connection."""

    model = Connection
    lasting = frozenset({"driver"})
    merged = frozenset({"config", "breaker", "limits"})
    caseless = frozenset({"headers"})


class ReasonInput(StrictSerializer):
    """Why somebody does something."""

    reason = serializers.CharField(max_length=MAX_REASON)


class ConnectionFilter(django_filters.FilterSet):
    """Filters of the list of connections."""

    type = VocabularyFilter(ConnectionType)
    driver = VocabularyFilter(ConnectionDriver)
    status = VocabularyFilter(ConnectionStatus)
    name = NameFilter()
    credential = NameFilter("credential__name")
    search = SearchFilter(
        "name__icontains", "description__icontains", "base_url__icontains", "host__icontains"
    )


class ConnectionViewSet(NamedResourceViewSet):
    """`/registry/connections`."""

    queryset = Connection.objects.all()
    serializer_class = ConnectionSerializer
    input_class = ConnectionInput
    patch_class = ConnectionPatch
    filterset_class = ConnectionFilter
    ordering_fields = ("name", "type", "status", "last_checked_at", "created_at", "updated_at")
    read_scope = "registry:read"
    write_scope = "registry:write"
    scopes = {"test": write_scope, "disable": write_scope, "enable": write_scope}
    # A test under the same key is another test: what counts is how it is now.
    own_keys = frozenset({"test"})
    takes_force = takes_grant = True

    @property
    def editor(self) -> ConnectionEditor:
        """Who changes something, for the record and for the rules of credentials."""
        return ConnectionEditor(
            actor=self.actor,
            may_use_credentials=self.may_use_credentials,
            choice=GrantChoice(allows_all=self.is_granting),
        )

    def get_rows(self) -> Any:
        """The connections, by name unless ordered otherwise."""
        return Connection.objects.with_parts().order_by("name")

    def find(self) -> Connection:
        """One connection, by id or name."""
        return lifecycle.get_connection(self.kwargs["pk"])

    def perform_create(self, fields: dict[str, Any]) -> Connection:
        """Make a connection; it is PENDING until its first test, which is due at once."""
        return lifecycle.create_connection(fields, self.editor)

    def perform_update(self, row: Any, fields: dict[str, Any], *, if_unchanged: bool) -> Connection:
        """Change what is given and leave the rest; null takes a field or a setting away."""
        return lifecycle.update_connection(row, fields, self.editor, if_unchanged=if_unchanged)

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Forget a connection that nothing uses."""
        lifecycle.delete_connection(
            row, self.editor, if_unchanged=if_unchanged, force=self.is_forced
        )

    @post_action(responses=TrialSerializer)
    def test(self, request: Any, pk: str) -> Response:
        """Ask what the connection leads to, now; a failure is an answer too: `success` is false."""
        run = partial(apart, request, "test")
        return Response(run_test(self.find(), actor=self.actor, run=run))

    @post_action(request=ReasonInput, responses=ConnectionSerializer)
    def disable(self, request: Any, pk: str) -> Response:
        """Switch it off: calls that begin from now on are refused: `connection_disabled`."""
        reason = self.read(ReasonInput)["reason"]
        return self.answer(
            lifecycle.disable_connection(self.find(), reason=reason, actor=self.actor)
        )

    @post_action(responses=ConnectionSerializer)
    def enable(self, request: Any, pk: str) -> Response:
        """Switch it on again; it is PENDING and tested soon."""
        return self.answer(lifecycle.enable_connection(self.find(), actor=self.actor))
