"""Application configuration."""

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """The registry app."""

    name = "registry"
    verbose_name = "Services and how to reach them"
