"""Application configuration."""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """The monitoring app."""

    name = "monitoring"
    verbose_name = "Health"

    def ready(self) -> None:
        from core.api.events import event_sources
        from monitoring.events import IncidentEvents, tell_incidents

        event_sources.add(IncidentEvents())
        tell_incidents()
