"""`/push/{token}`: what jobs call. No key but the token, and nothing is told but that it came."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.views import APIView

from monitoring.checks.pushing import LARGEST_MESSAGE, receive_call


@extend_schema(exclude=True)
class PushView(APIView):
    """`/push/{token}`, and `/start`, `/fail`, `/log` or an exit code below it."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = ()
    http_method_names = ("get", "post", "head")

    def get(self, request: Any, token: str, word: str = "") -> HttpResponse:
        """Take a call.

        Raises:
            NotFound: no check has that token.
        """
        return self._take(token, word, b"")

    def post(self, request: Any, token: str, word: str = "") -> HttpResponse:
        """Take a call with what the job has to say: of its body, 10 kB are kept.

        Raises:
            NotFound: no check has that token.
        """
        body = request.stream.read(LARGEST_MESSAGE) if request.stream is not None else b""
        return self._take(token, word, body)

    @staticmethod
    def _take(token: str, word: str, body: bytes) -> HttpResponse:
        receive_call(token, word, body, now=timezone.now())
        return HttpResponse("OK", content_type="text/plain", headers={"Cache-Control": "no-store"})
