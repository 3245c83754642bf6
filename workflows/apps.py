"""Application configuration."""

from __future__ import annotations

from functools import partial

from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    """Workflows, executions and the engine."""

    name = "workflows"
    verbose_name = "Workflows"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate

        from core import references
        from core.api.events import event_sources
        from core.db.models import renamed
        from core.mediator import mediator
        from registry.credentials import dependants
        from workflows.history.append_only import renew_guard
        from workflows.models import WorkflowType
        from workflows.services.definitions.dependants import dependent_versions
        from workflows.services.definitions.references import follow_rename, users_of
        from workflows.services.executions.start import start_by_type
        from workflows.signalling.events import ExecutionEvents, progress_of

        post_migrate.connect(renew_guard, sender=self)
        references.add_finder(users_of)
        dependants.add_finder(dependent_versions)
        event_sources.add(ExecutionEvents(), progress=progress_of)
        renamed.connect(follow_rename, dispatch_uid="workflows.services.definitions.references")
        mediator.subscribe("steps_ready", _announce_steps)
        mediator.subscribe("slots_changed", _dequeue_executions)
        mediator.subscribe("executions_ended", _tell_ended)
        mediator.subscribe("history_full", _end_full)
        for workflow_type in WorkflowType.values:
            mediator.register_handler(workflow_type, partial(start_by_type, workflow_type))


def _dequeue_executions(workflow_id: str) -> None:
    from workflows.services.executions.concurrency_limit import dequeue_executions

    dequeue_executions(workflow_id)


def _end_full(execution_id: str) -> None:
    from workflows.services.executions.control import fail_full_execution

    fail_full_execution(execution_id)


def _announce_steps(step_ids: list[str]) -> None:
    # Imported late: only who starts executions needs the runtime.
    from workflows.engine.runtime import runtime

    runtime.announce(step_ids)


def _tell_ended(execution_ids: list[str]) -> None:
    from workflows.signalling.ends import tell_ended

    tell_ended(execution_ids)
