"""The client that a whole process shares."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from service_integration_client.client import ServiceIntegrationClient
from service_integration_client.configuration import (
    DEFAULT_TIMEOUT_SECONDS,
    KEY_VARIABLE,
    URL_VARIABLE,
)

TIMEOUT_SETTING = "SERVICE_INTEGRATION_TIMEOUT"
_clients: dict[tuple[Any, ...], ServiceIntegrationClient] = {}
_lock = threading.Lock()


def get_service_integration_client() -> ServiceIntegrationClient:
    """The client of this process, the same one at every call; threads may share it.

    Where Django is in use, its settings SERVICE_INTEGRATION_URL, SERVICE_INTEGRATION_API_KEY and
    SERVICE_INTEGRATION_TIMEOUT (seconds) come first; else, and for what they do not say, the
    environment variables of the first two. A forked process has its own. Raises: ValueError.
    """
    url, key = _setting(URL_VARIABLE), _setting(KEY_VARIABLE)
    timeout = _setting(TIMEOUT_SETTING) or DEFAULT_TIMEOUT_SECONDS
    environment = (os.environ.get(URL_VARIABLE), os.environ.get(KEY_VARIABLE))
    cache_key = (os.getpid(), url, key, timeout, environment)
    with _lock:
        client = _clients.get(cache_key)
        if client is None:
            client = ServiceIntegrationClient(base_url=url, timeout=timeout, api_key=key)
            _clients.clear()
            _clients[cache_key] = client
    return client


def _setting(name: str) -> Any:
    """Return a setting of Django, if this process uses Django; it is not imported for that."""
    conf = sys.modules.get("django.conf")
    if conf is None or not (conf.settings.configured or "DJANGO_SETTINGS_MODULE" in os.environ):
        return None
    return getattr(conf.settings, name, None)
