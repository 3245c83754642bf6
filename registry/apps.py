"""Application configuration."""

from typing import Any

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """The registry app."""

    name = "registry"
    verbose_name = "Services and how to reach them"

    def ready(self) -> None:
        from core import references
        from core.db.models import renamed
        from core.mediator import mediator
        from registry import checks  # noqa: F401 (registers them)
        from registry.integrations.references import follow_rename, users_of

        references.add_finder(users_of)
        renamed.connect(follow_rename, dispatch_uid="registry.integrations.references")
        mediator.subscribe("registry_changed", _announce_change)


def _announce_change(**_: Any) -> None:
    # Imported late: models are ready only after the apps.
    from registry.discovery.base import get_discovery

    get_discovery().announce_change()
