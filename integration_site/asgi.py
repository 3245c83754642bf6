"""The ASGI application: the front, with Django behind it."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "integration_site.settings")
_django = get_wsgi_application()

from core.news import own_news  # noqa: E402 (needs the settings)
from integration_site.front.application import ALIVE, Alive, Front  # noqa: E402
from integration_site.front.django_pool import DjangoPool  # noqa: E402
from integration_site.front.shortcuts import shortcuts_over  # noqa: E402

# One caller leaves others a quarter of the threads, and of those for heartbeats and health one.
_share = max(settings.WEB_THREADS * 3 // 4, 1)
_vital = settings.WEB_VITAL_THREADS
_pool = DjangoPool(_django, threads=settings.WEB_THREADS, share=_share)
application = Front(
    _pool,
    {ALIVE: Alive(_django), **shortcuts_over(_pool)},
    vital=DjangoPool(_django, threads=_vital, share=_vital - 1),
    on_start=(own_news().listen,),
)
