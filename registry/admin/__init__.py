"""The registry in the admin."""

from registry.admin import access, action, change, instance, service

__all__ = ["access", "action", "change", "instance", "service"]
