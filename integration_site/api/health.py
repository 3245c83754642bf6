"""Health endpoints of the hub itself."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from integration_site.facade import get_facade


class OpenView(APIView):
    """A view that needs no key: platforms probe it."""

    authentication_classes = ()
    permission_classes = ()


class AliveView(OpenView):
    """`/health/alive`."""

    @extend_schema(responses={200: dict})
    def get(self, request: Any) -> Response:
        """The process answers."""
        return Response({"status": "alive", "service": settings.SERVICE_NAME})


class ReadyView(OpenView):
    """`/health/ready`."""

    @extend_schema(responses={200: dict, 503: dict})
    def get(self, request: Any) -> Response:
        """503 unless database, migrations, broker and cache answer."""
        checks = get_facade().check_readiness()
        ready = all(check.ok for check in checks)
        body = {
            "status": "ready" if ready else "not ready",
            "checks": {c.name: {"ok": c.ok, "detail": c.detail or None} for c in checks},
        }
        return Response(body, status=200 if ready else 503)


class SystemView(APIView):
    """`/health/system`."""

    scopes = {"GET": "registry:read"}

    @extend_schema(responses={200: dict})
    def get(self, request: Any) -> Response:
        """The health of the whole system."""
        return Response(get_facade().describe_system())
