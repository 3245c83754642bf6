"""Application configuration."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_delete, post_save


class CoreConfig(AppConfig):
    """The kernel: what no app owns."""

    name = "core"
    verbose_name = "Access"

    def ready(self) -> None:
        from core.api.known_keys import tell_changed
        from core.db.json_lookups import add_functions
        from core.db.timestamps import add_loader
        from core.models import ApiKey

        connection_created.connect(add_functions)
        connection_created.connect(add_loader)
        for signal in (post_save, post_delete):
            signal.connect(tell_changed, sender=ApiKey)
