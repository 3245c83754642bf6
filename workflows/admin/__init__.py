"""Workflows and executions in the admin."""

from workflows.admin import event, execution, step, version, workflow

__all__ = ["event", "execution", "step", "version", "workflow"]
