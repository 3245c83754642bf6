"""The registry in the admin."""

from registry.admin import (
    access,
    action,
    audit,
    change,
    circuit,
    connection,
    credential,
    instance,
    integration,
    service,
)

__all__ = [
    "access", "action", "audit", "change", "circuit", "connection", "credential", "instance",
    "integration", "service",
]  # fmt: skip
