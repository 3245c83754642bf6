"""Application configuration."""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """The monitoring app."""

    name = "monitoring"
    verbose_name = "Health"
