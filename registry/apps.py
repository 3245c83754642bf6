"""Application configuration."""

from collections.abc import Collection
from typing import Any

from django.apps import AppConfig
from django.db import transaction
from django.db.models.signals import post_save


class RegistryConfig(AppConfig):
    """The registry app."""

    name = "registry"
    verbose_name = "Services and how to reach them"

    def ready(self) -> None:
        from core import references
        from core.api.events import event_sources
        from core.db.models import renamed
        from core.mediator import mediator
        from registry import checks  # noqa: F401 (registers them)
        from registry.credentials import dependants
        from registry.discovery.events import ServiceEvents
        from registry.integrations.dependants import dependent_integrations
        from registry.integrations.references import follow_rename, users_of
        from registry.models import Credential

        references.add_finder(users_of)
        dependants.add_finder(dependent_integrations)
        event_sources.add(ServiceEvents())
        renamed.connect(follow_rename, dispatch_uid="registry.integrations.references")
        post_save.connect(_tell_credential, sender=Credential)
        mediator.subscribe("registry_changed", _tell_changed)
        mediator.subscribe("circuit_changed", _tell_circuit)


def _tell_credential(**_: Any) -> None:
    """Tell that services may show another name of their credential than before."""
    from core.news import own_news
    from registry.discovery.change_log import NEWS

    transaction.on_commit(lambda: own_news().tell(NEWS))


def _tell_circuit(*, service_id: Any, **_: Any) -> None:
    _tell_changed(service_id=service_id, fields=("circuit",))  # by which no list selects


def _tell_changed(*, service_id: Any, fields: Collection[str] = (), **_: Any) -> None:
    # Imported late: models are ready only after the apps.
    from core.news import own_news
    from registry.discovery.change_log import NEWS

    if service_id:  # of a connection's circuit there is none
        own_news().tell(NEWS, str(service_id), fields)
