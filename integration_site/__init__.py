"""The Django project that joins the apps."""

from integration_site.celery import app as celery_app

__all__ = ["celery_app"]
