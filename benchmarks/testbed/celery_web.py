"""The web process before the chains of Celery: one view of Django REST framework starts them.

`python -m benchmarks.testbed.celery_web PORT` makes its tables in the database `PEER_DATABASE`,
prints a token as a JSON line and becomes gunicorn, set up as the hub's. A POST with the token,
which is looked up in PostgreSQL, sends one chain to Celery and answers with its id. There is no
middleware, and nothing else is read or written.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import django
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

SERVER = (
    "-m", "gunicorn", "benchmarks.testbed.celery_web", "--config", "/dev/null",
    "--worker-class", "gthread", "--threads", "32", "--keep-alive", "75",
    "--no-control-socket", "--log-level", "error",
)  # fmt: skip

address = conninfo_to_dict(os.environ["PEER_DATABASE"])
settings.configure(
    SECRET_KEY="only-for-a-benchmark",  # noqa: S106
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[],
    USE_TZ=True,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "rest_framework.authtoken",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": address["host"],
            "PORT": address["port"],
            "USER": address["user"],
            "NAME": address["dbname"],
            "CONN_MAX_AGE": None,
        }
    },
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402 (needs the settings)
from django.urls import path  # noqa: E402
from rest_framework import serializers  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from benchmarks.testbed.celery_app import make_chain  # noqa: E402


class ChainBody(serializers.Serializer[Any]):
    """The value that a chain begins with, and the address that its steps call."""

    value = serializers.DictField()
    url = serializers.CharField(allow_blank=True)


class Chains(APIView):
    """Takes POSTs from callers with a token."""

    def post(self, request: Any) -> Response:
        """Send a chain to Celery; answers with the id of its last task."""
        body = ChainBody(data=request.data)
        body.is_valid(raise_exception=True)
        sent = make_chain(body.validated_data["value"], body.validated_data["url"]).apply_async()
        return Response({"id": sent.id}, status=202)


urlpatterns = [path("chains", Chains.as_view())]
application = get_wsgi_application()


def main(port: str) -> None:
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from rest_framework.authtoken.models import Token

    call_command("migrate", verbosity=0)
    token = Token.objects.create(user=User.objects.create(username="bench"))
    print(json.dumps({"token": token.key}), flush=True)
    os.execv(sys.executable, [sys.executable, *SERVER, "--bind", f"127.0.0.1:{port}"])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1])
