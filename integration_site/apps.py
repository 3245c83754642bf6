"""Application configuration."""

from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig

# Makes it the application of all tasks, in web processes and commands too.
from integration_site import celery as celery


class IntegrationSiteConfig(AppConfig):
    """The site that joins the apps: API plumbing, the facade and the console."""

    name = "integration_site"
    verbose_name = "Service Integration"

    def ready(self) -> None:
        # Imported late: models are ready only after the apps.
        from integration_site.model_findings import watch_budgets
        from integration_site.user_signals import connect_user_signals
        from integration_site.workflow_findings import watch_workflows

        connect_user_signals()
        watch_workflows()
        watch_budgets()


class ConsoleConfig(SimpleAdminConfig):
    """Django's admin, with the site of the hub."""

    default_site = "integration_site.console.site.HubAdminSite"
