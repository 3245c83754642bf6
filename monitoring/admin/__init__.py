"""The admin of monitoring, one module per resource."""

from monitoring.admin import (
    alerts,
    check,
    dependency,
    escalation,
    incident,
    maintenance,
    silence,
    slo,
    status_page,
    uptime,
)

__all__ = [
    "alerts",
    "check",
    "dependency",
    "escalation",
    "incident",
    "maintenance",
    "silence",
    "slo",
    "status_page",
    "uptime",
]
