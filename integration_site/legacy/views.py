"""What the earlier system answers and the API has no route for."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework.response import Response
from rest_framework.views import APIView


class DescriptionView(APIView):
    """`/`, for programs."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Any) -> Response:
        """The name of the hub, and where its documentation is."""
        return Response(
            {
                "service": settings.SERVICE_NAME,
                "version": settings.SPECTACULAR_SETTINGS["VERSION"],
                "status": "running",
                "documentation": "/docs",
            }
        )
