"""Registers a service with the life of a Django project; imports nothing of Django."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from service_integration_client.registration import ServiceRegistration

_COMMANDS = ("manage.py", "django-admin", "django-admin.py", "__main__.py")


class RegistersService:
    """Before `AppConfig` in an application's configuration: registers when the project serves.

    ``class ShopConfig(RegistersService, AppConfig)`` with `service_registration`, the arguments of
    `ServiceRegistration`. It beats from a thread and signs off when the process ends.
    Management commands other than ``runserver`` do not register; `is_serving` may be replaced.
    Every worker process beats for the instance; when one of several ends, the next beat of another
    brings it back.
    """

    service_registration: Mapping[str, Any] = {}

    def ready(self) -> None:
        """Called by Django when the applications are loaded."""
        parent: Any = super()
        if hasattr(parent, "ready"):
            parent.ready()
        if self.is_serving():
            registration = ServiceRegistration(**self.service_registration)
            registration.start()
            atexit.register(registration.stop)

    def is_serving(self) -> bool:
        """Return whether this process answers requests."""
        return is_serving(sys.argv, os.environ)


def is_serving(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Return whether a program with these arguments is a server: not the reloader of one."""
    program, *rest = arguments or [""]
    if PurePath(program).name not in _COMMANDS:
        return True
    if "runserver" not in rest[:1]:
        return False
    return "--noreload" in rest or environment.get("RUN_MAIN") == "true"
