"""The WSGI application."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "integration_site.settings")

from core.api.chunked_body import read_chunked_bodies

application = read_chunked_bodies(get_wsgi_application())
