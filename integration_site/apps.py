"""Application configuration."""

from django.apps import AppConfig


class IntegrationSiteConfig(AppConfig):
    """The site that joins the apps: API plumbing, the facade and the console."""

    name = "integration_site"
    verbose_name = "Service Integration"
