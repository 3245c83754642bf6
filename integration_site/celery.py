"""The Celery application; its settings are the CELERY_ ones of the site's settings."""

import logging
import os
import warnings

from celery import Celery
from celery.signals import setup_logging, worker_init
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "integration_site.settings")
# Django's checks load every route and with them the whole admin, which worker and beat never use.
os.environ.setdefault("CELERY_SKIP_CHECKS", "true")

app = Celery("integration_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# Celery says in eight lines what `say_if_root` says in one.
warnings.filterwarnings("ignore", "You're running the worker with superuser", UserWarning)

TRANSPORT_ALIASES["files"] = "integration_site.filesystem_broker:FilesystemTransport"


@setup_logging.connect
def use_own_logging(**_: object) -> None:
    """Logging is set up by the site's settings; Celery leaves it alone when this is connected."""


@worker_init.connect
def say_if_root(**_: object) -> None:
    if os.geteuid() == 0:
        logging.getLogger(__name__).warning(
            "The worker runs as root: give it a user of its own for more than a try."
        )
