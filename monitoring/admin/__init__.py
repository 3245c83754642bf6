"""The admin of monitoring, one module per resource."""

from monitoring.admin import incident

__all__ = ["incident"]
