"""The ASGI application: the front, with Django behind it."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "integration_site.settings")
_django = get_wsgi_application()

from core.news import own_news  # noqa: E402 (needs the settings)
from integration_site.front.application import Front  # noqa: E402
from integration_site.front.django_pool import DjangoPool  # noqa: E402
from integration_site.front.shortcuts import shortcuts_over  # noqa: E402

_share = max(settings.WEB_THREADS * 3 // 4, 1)
_pool = DjangoPool(_django, threads=settings.WEB_THREADS, share=_share)
application = Front(_pool, shortcuts_over(_pool))
own_news().listen()
