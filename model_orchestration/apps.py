"""Application configuration."""

from django.apps import AppConfig


class ModelOrchestrationConfig(AppConfig):
    """The app of language models: one door to every provider, with budgets."""

    name = "model_orchestration"
    verbose_name = "Models"

    def ready(self) -> None:
        from model_orchestration.calls.own_service import serve_own_calls
        from model_orchestration.catalog import forget_on_changes
        from model_orchestration.services.models import watch_names

        forget_on_changes()
        watch_names()
        serve_own_calls()
