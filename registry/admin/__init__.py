"""The registry in the admin."""

from registry.admin import access, action, change, circuit, credential, instance, service

__all__ = ["access", "action", "change", "circuit", "credential", "instance", "service"]
