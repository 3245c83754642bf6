"""The registry in the admin."""

from registry.admin import access, action, change, circuit, instance, service

__all__ = ["access", "action", "change", "circuit", "instance", "service"]
