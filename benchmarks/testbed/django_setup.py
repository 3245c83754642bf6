"""Sets Django up in the process of a benchmark, on a database of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping

# The variables of a hub: those of the caller's shell are not for the benchmark.
OF_A_HUB = ("POSTGRES_", "REDIS_", "DATABASE_URL", "SERVICE_", "ENGINE_", "CALL_")


def set_up_django(environment: Mapping[str, str]) -> None:
    """Set Django up with these variables instead of the shell's."""
    for name in [name for name in os.environ if name.startswith(OF_A_HUB)]:
        del os.environ[name]
    os.environ.update(environment)
    os.environ["DJANGO_SETTINGS_MODULE"] = "integration_site.settings"
    import django

    django.setup()


def set_up_migrated(environment: Mapping[str, str]) -> None:
    """Set Django up with these variables, and bring its database to the newest version."""
    set_up_django({"SECRET_KEY": "for-the-benchmark", **environment})
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
