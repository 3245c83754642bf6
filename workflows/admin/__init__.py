"""Workflows and executions in the admin."""

from workflows.admin import event, execution, step, version, worker, workflow

__all__ = ["event", "execution", "step", "version", "worker", "workflow"]
