"""A service with Django that registers itself, for gunicorn to serve."""

import os
from pathlib import Path

from django.apps import AppConfig
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

from service_integration_client import RegistersService, health_response


class ShopConfig(RegistersService, AppConfig):
    """The one application of the service."""

    name = "tests.e2e.django_shop"
    path = str(Path(__file__).parent)
    service_registration = {
        "name": "django-shop",
        "url": os.environ["SHOP_URL"],
        "health_url": os.environ["SHOP_URL"] + "/health",
        "heartbeat_interval": 0.5,
    }


settings.configure(
    INSTALLED_APPS=["tests.e2e.django_shop.ShopConfig"],
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1"],
)
urlpatterns = [path("health", lambda request: JsonResponse(health_response(shelves=True)))]
application = get_wsgi_application()
