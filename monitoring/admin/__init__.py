"""The admin of monitoring, one module per resource."""

from monitoring.admin import alerts, incident

__all__ = ["alerts", "incident"]
