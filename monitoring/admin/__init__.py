"""The admin of monitoring, one module per resource."""

from monitoring.admin import alerts, incident, uptime

__all__ = ["alerts", "incident", "uptime"]
