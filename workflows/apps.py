"""Application configuration."""

from __future__ import annotations

from functools import partial

from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    """Workflows, executions and the engine."""

    name = "workflows"
    verbose_name = "Workflows"

    def ready(self) -> None:
        from registry.mediator import mediator
        from workflows.models import WorkflowType
        from workflows.requests import start_by_type

        mediator.subscribe("steps_ready", _announce_steps)
        for workflow_type in WorkflowType.values:
            mediator.register_handler(workflow_type, partial(start_by_type, workflow_type))


def _announce_steps(step_ids: list[str]) -> None:
    # Imported late: only who starts executions needs the engine and Celery.
    from workflows.tasks import announce_steps

    announce_steps(step_ids)
