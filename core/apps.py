"""Application configuration."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created


class CoreConfig(AppConfig):
    """The kernel: what no app owns."""

    name = "core"
    verbose_name = "Access"

    def ready(self) -> None:
        from core.db.json_lookups import add_functions

        connection_created.connect(add_functions)
