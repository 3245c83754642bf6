"""Executions in the admin."""

from workflows.admin.execution import admin

__all__ = ["admin"]
