"""One service as it stands: found, locked, its status derived, its changes noted."""

from __future__ import annotations

from django.db import connection

from core.addresses import BadAddress, normal_base_url
from core.exceptions import NotFound, ValidationFailed
from core.mediator import mediator
from core.suggestions import meant_among
from registry.models import (
    RegistryChange,
    RegistryChangeKind,
    Service,
    ServiceInstance,
    ServiceStatus,
)
from registry.services.status import derive_status


def get_service(reference: str) -> Service:
    """The service of that id or name, with its instances and actions.

    Raises:
        NotFound: there is none.
    """
    service = Service.objects.with_parts().find(reference)
    if service is None:
        close = meant_among(Service.objects, reference)
        raise NotFound(f"No service with the id or name '{str(reference)[:100]}'{close}")
    return service


def reload_service(service: Service) -> Service:
    return Service.objects.with_parts().get(pk=service.pk)


def base_url_of(text: str) -> str:
    """The one form of the URL of an instance that a caller gave.

    Raises:
        ValidationFailed: it is no URL.
    """
    try:
        return normal_base_url(text)
    except BadAddress as error:
        raise ValidationFailed(f"url: {error}", errors={"url": [str(error)]}) from None


def instance_status(value: str) -> str:
    """The stored word for a status that a caller gave.

    Raises:
        ValidationFailed: it is not a status.
    """
    try:
        return ServiceStatus.parse(value).value
    except ValueError as error:
        raise ValidationFailed(f"status: {error}", errors={"status": [str(error)]}) from None


def refresh_status(service: Service, *, note: bool = False, otherwise: str = "") -> bool:
    """Derive the status of a locked service, or take `otherwise` where it has no instance.

    With `note`, tell the watchers when it changed. Return whether it did.
    """
    instances = ServiceInstance.objects.filter(service=service)
    status = derive_status(instances, in_maintenance=service.in_maintenance) or otherwise
    if not status or status == service.status:
        return False
    service.status = status
    service.save(update_fields=("status", "updated_at"))
    if note:
        record_change(service, RegistryChangeKind.STATUS_CHANGED)
    return True


def note_changed_parts(service: Service) -> None:
    """Mark a service as changed, because an action or instance was; inside that transaction."""
    service.save(update_fields=("updated_at",))
    record_change(service, RegistryChangeKind.UPDATED)


def note_instances(service: Service, *, otherwise: str = "") -> None:
    """Tell the watchers that an instance changed its status, and with it perhaps the service."""
    if not refresh_status(service, note=True, otherwise=otherwise):
        record_change(service, RegistryChangeKind.UPDATED)


def record_change(service: Service, kind: str) -> None:
    """Append to the log that watchers follow; call it inside the transaction of the change.

    Writers take turns, so that no index becomes visible after a higher one was read.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('registry_change'))")
    RegistryChange.objects.create(
        service_id=service.pk, service_name=service.name, kind=kind, status=service.status
    )
    mediator.publish_on_commit("registry_changed", service_id=service.pk, kind=str(kind))
