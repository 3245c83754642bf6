"""Health endpoints of the hub itself."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from core.api.fields import VocabularyField
from integration_site.facade import get_facade
from registry.models import ServiceStatus


class AliveAnswer(serializers.Serializer[Any]):
    """The process answers."""

    status = serializers.CharField()
    service = serializers.CharField()


class CheckAnswer(serializers.Serializer[Any]):
    """One thing that the hub needs."""

    ok = serializers.BooleanField()
    detail = serializers.CharField(allow_null=True)


class ReadyAnswer(serializers.Serializer[Any]):
    """Whether the hub has what it needs."""

    status = serializers.ChoiceField(choices=("ready", "not ready"))
    checks = serializers.DictField(child=CheckAnswer())


class WorkerAnswer(serializers.Serializer[Any]):
    """A worker that was seen lately."""

    name = serializers.CharField()
    started_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField()
    in_flight = serializers.IntegerField()
    swept_at = serializers.DateTimeField(allow_null=True)


class LegacyApiAnswer(serializers.Serializer[Any]):
    """Whether the shapes of the earlier system are understood, and who used them when last."""

    enabled = serializers.BooleanField()
    callers = serializers.IntegerField()
    calls = serializers.IntegerField()
    last_call_at = serializers.DateTimeField(allow_null=True)


class SystemAnswer(serializers.Serializer[Any]):
    """The health of the whole system."""

    status = VocabularyField(ServiceStatus)
    service_statuses = serializers.DictField(child=VocabularyField(ServiceStatus))
    service_counts = serializers.DictField(child=serializers.IntegerField())
    circuit_breaker_statuses = serializers.DictField(child=serializers.CharField())
    executions = serializers.DictField(child=serializers.IntegerField())
    workers = WorkerAnswer(many=True)
    legacy_api = LegacyApiAnswer()
    timestamp = serializers.DateTimeField()
    execution_time_ms = serializers.FloatField()


class OpenView(APIView):
    """A view that needs no key: platforms probe it."""

    authentication_classes = ()
    permission_classes = ()


class AliveView(OpenView):
    """`/health/alive`."""

    @extend_schema(responses=AliveAnswer)
    def get(self, request: Any) -> Response:
        """The process answers."""
        return Response({"status": "alive", "service": settings.SERVICE_NAME})


class ReadyView(OpenView):
    """`/health/ready`."""

    @extend_schema(responses={200: ReadyAnswer, 503: ReadyAnswer})
    def get(self, request: Any) -> Response:
        """503 unless database, migrations, broker and cache answer."""
        checks = get_facade().check_readiness()
        ready = all(check.ok for check in checks)
        body = {
            "status": "ready" if ready else "not ready",
            "checks": {c.name: {"ok": c.ok, "detail": c.detail or None} for c in checks},
        }
        return Response(body, status=200 if ready else 503)


class DependenciesView(OpenView):
    """`/health/dependencies`."""

    def get(self, request: Any) -> Response:
        """What the hub needs and whether it answers, with 200 even where it does not."""
        checks = get_facade().check_readiness()
        words = {True: "healthy", False: "unhealthy"}
        body = {
            "status": words[all(check.ok for check in checks)],
            "dependencies": {
                c.name: {"status": words[c.ok], "detail": c.detail or None} for c in checks
            },
        }
        return Response(body)


class SystemView(APIView):
    """`/health/system`."""

    scopes = {"GET": "registry:read"}

    @extend_schema(responses=SystemAnswer)
    def get(self, request: Any) -> Response:
        """The health of the whole system."""
        return Response(get_facade().describe_system())
