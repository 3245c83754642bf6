"""The admin of monitoring, one module per resource."""

from monitoring.admin import alerts, incident, slo, status_page, uptime

__all__ = ["alerts", "incident", "slo", "status_page", "uptime"]
