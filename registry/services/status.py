"""Keeps the status of services as their instances have it."""

from __future__ import annotations

from registry.discovery.base import INSTANCES
from registry.discovery.change_log import record_change
from registry.models import RegistryChangeKind, Service, ServiceInstance
from registry.models.status import derive_status


def refresh_status(service: Service, *, log_change: bool = False, default: str = "") -> bool:
    """Derive the status of a locked service, or take `default` where it has no instance.

    With `log_change`, tell the watchers when it changed. Return whether it did.
    """
    instances = ServiceInstance.objects.filter(service=service)
    status = derive_status(instances, imposed=service.imposed_status) or default
    if not status or status == service.status:
        return False
    service.status = status
    service.save(update_fields=("status", "updated_at"))
    if log_change:
        record_change(service, RegistryChangeKind.STATUS_CHANGED, ("status", INSTANCES))
    return True


def log_instance_change(service: Service, *, default: str = "") -> None:
    """Tell the watchers that an instance changed its status, and with it perhaps the service."""
    if not refresh_status(service, log_change=True, default=default):
        record_change(service, RegistryChangeKind.UPDATED, ("status", INSTANCES))
