"""Registers workflows and executions in the admin."""

from workflows.admin import (
    bulk,
    event,
    execution,
    retention,
    schedule,
    step,
    version,
    webhook,
    worker,
    workflow,
)

__all__ = [
    "bulk",
    "event",
    "execution",
    "retention",
    "schedule",
    "step",
    "version",
    "webhook",
    "worker",
    "workflow",
]
