"""The registry in the admin."""

from registry.admin import (
    action,
    change_log,
    circuit,
    connection,
    credential,
    instance,
    integration,
    service,
)

__all__ = [
    "action", "change_log", "circuit", "connection", "credential", "instance", "integration",
    "service",
]  # fmt: skip
