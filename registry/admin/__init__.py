"""The registry in the admin."""

from registry.admin import (
    access,
    action,
    change,
    circuit,
    credential,
    instance,
    integration,
    service,
)

__all__ = [
    "access",
    "action",
    "change",
    "circuit",
    "credential",
    "instance",
    "integration",
    "service",
]
