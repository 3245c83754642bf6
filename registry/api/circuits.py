"""Circuit breakers: what they are at, and forcing them open, closing, disabling, resetting them."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers
from rest_framework.response import Response

from core.api.actions import post_action
from core.api.fields import NumberField, VocabularyField
from core.api.instants import InstantField
from core.api.query_filters import NameFilter, VocabularyFilter
from core.api.serializers import AnswerSerializer, StrictSerializer, represent
from core.api.viewsets import ResourceViewSet
from core.models.audit import MAX_REASON
from registry.calls.circuits.operator_control import (
    LONGEST,
    Control,
    Order,
    control_circuit,
    get_circuit,
)
from registry.models import CircuitBreakerState, CircuitState


class CircuitSerializer(AnswerSerializer):
    """A circuit breaker in an answer."""

    instance_id = serializers.UUIDField(allow_null=True)
    connection_id = serializers.UUIDField(allow_null=True)
    url = serializers.CharField()
    service = serializers.CharField(source="instance.service.name", default=None, allow_null=True)
    service_id = serializers.UUIDField(source="instance.service_id", default=None, allow_null=True)
    connection = serializers.CharField(source="connection.name", default=None, allow_null=True)
    state = VocabularyField(CircuitState)
    retry_at = serializers.DateTimeField(source="next_try_at", allow_null=True)

    class Meta:
        model = CircuitBreakerState
        fields = (
            "id", "service", "service_id", "instance_id", "connection", "connection_id", "url",
            "state", "failure_count", "success_count", "opened_at", "retry_at", "last_failure_at",
            "cause", "forced_by", "reason", "until", "updated_at",
        )  # fmt: skip


class InstanceCircuitSerializer(CircuitSerializer):
    """The circuit in the health of an instance."""

    class Meta:
        model = CircuitBreakerState
        fields = (
            "state", "failure_count", "opened_at", "retry_at", "cause", "forced_by", "reason",
            "until",
        )  # fmt: skip


class ControlInput(StrictSerializer):
    """Why, and until when."""

    reason = serializers.CharField(max_length=MAX_REASON)
    until = InstantField(required=False, allow_null=True)
    seconds = NumberField(
        required=False, allow_null=True, min_value=0.001, max_value=LONGEST.total_seconds()
    )


class CircuitFilter(django_filters.FilterSet):
    """Filters of the list of circuit breakers."""

    state = VocabularyFilter(CircuitState)
    service = NameFilter("instance__service__name")
    connection = NameFilter("connection__name")


class CircuitViewSet(ResourceViewSet):
    """`/health/circuit-breakers`."""

    queryset = CircuitBreakerState.objects.all()
    serializer_class = CircuitSerializer
    filterset_class = CircuitFilter
    ordering_fields = ("state", "opened_at", "updated_at")
    scopes = {
        "list": "registry:read",
        "retrieve": "registry:read",
        "open": "registry:write",
        "close": "registry:write",
        "disable": "registry:write",
        "reset": "registry:write",
    }

    def list(self, request: Any) -> Response:
        """The breakers of what was called, those that refuse calls first."""
        rows = CircuitBreakerState.objects.with_places().troubled_first()
        return self.answer_page(rows, CircuitSerializer)

    def retrieve(self, request: Any, pk: str) -> Response:
        """One breaker, by its id or that of its instance or connection."""
        return Response(represent(CircuitSerializer, get_circuit(pk)))

    @post_action(request=ControlInput, responses=CircuitSerializer)
    def open(self, request: Any, pk: str) -> Response:
        """Refuse every call, until `until`, for `seconds`, or until another order comes."""
        return self._control(pk, Control.OPEN)

    @post_action(request=ControlInput, responses=CircuitSerializer)
    def close(self, request: Any, pk: str) -> Response:
        """Let calls through and count from zero."""
        return self._control(pk, Control.CLOSE)

    @post_action(request=ControlInput, responses=CircuitSerializer)
    def disable(self, request: Any, pk: str) -> Response:
        """Let every call through and count nothing, until it ends or another order comes."""
        return self._control(pk, Control.DISABLE)

    @post_action(request=ControlInput, responses=CircuitSerializer)
    def reset(self, request: Any, pk: str) -> Response:
        """Let calls through and forget everything that was before."""
        return self._control(pk, Control.RESET)

    def _control(self, reference: str, control: Control) -> Response:
        order = Order(control=control, actor=self.actor, **self.read(ControlInput))
        return Response(represent(CircuitSerializer, control_circuit(reference, order)))
