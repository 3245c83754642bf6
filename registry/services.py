"""What happens to services: they register, beat, change status and leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from registry.discovery.base import get_discovery
from registry.exceptions import Conflict, NotFound, ValidationFailed
from registry.mediator import mediator
from registry.models import (
    RegistryChange,
    RegistryChangeKind,
    Service,
    ServiceAction,
    ServiceInstance,
    ServiceStatus,
)
from registry.status import derive_status

KEPT_CHANGES = 10_000
MAX_INSTANCES = 1000


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What a service says of itself. None leaves what is known as it is."""

    name: str
    url: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    instance_fields: Mapping[str, Any] = field(default_factory=dict)
    actions: Sequence[Mapping[str, Any]] | None = None
    status: str | None = None


@dataclass(frozen=True)
class Registered:
    """The service, and whether it or its instance is new."""

    service: Service
    created: bool


def get_service(reference: str) -> Service:
    """The service of that id or name, with its instances and actions.

    Raises:
        NotFound: there is none.
    """
    service = Service.objects.with_parts().find(reference)
    if service is None:
        raise NotFound(f"No service with the id or name '{str(reference)[:100]}'.")
    return service


def register_service(
    registration: Registration, *, actor: str = "", only_own: bool = False
) -> Registered:
    """Take up a service, or a new instance of one, or refresh what is known of both.

    Raises:
        ValidationFailed: a field breaks a rule.
        PermissionDenied: `only_own`, and the name belongs to another owner.
    """
    for attempt in (1, 2):
        try:
            with transaction.atomic():
                return _register(registration, actor=actor, only_own=only_own)
        except IntegrityError:
            # Another registration of the same name won the race; now it is there to refresh.
            if attempt == 2:
                raise Conflict(
                    f"The service '{registration.name}' is being registered by somebody else."
                    " Try again."
                ) from None
    raise AssertionError("unreachable")


def _register(registration: Registration, *, actor: str, only_own: bool) -> Registered:
    service = Service.objects.select_for_update().filter(name__iexact=registration.name).first()
    created = service is None
    if service is None:
        service = Service(name=registration.name, owner=actor)
    else:
        check_owner(service, actor=actor, only_own=only_own)
    _assign(service, registration.fields)
    _save_checked(service)
    if registration.actions is not None:
        _replace_actions(service, registration.actions)
    new_instance = registration.url is not None and _register_instance(
        service,
        url=registration.url,
        fields={**registration.instance_fields, "status": registration.status},
    )
    refresh_status(service)
    created = created or new_instance
    kind = RegistryChangeKind.REGISTERED if created else RegistryChangeKind.UPDATED
    record_change(service, kind)
    if created:
        mediator.publish_on_commit("service_registered", service_id=service.pk, name=service.name)
    return Registered(_reload(service), created)


def check_owner(service: Service, *, actor: str, only_own: bool) -> None:
    """Refuse a caller who may change only its own services.

    Raises:
        PermissionDenied: the service belongs to another owner.
    """
    if only_own and service.owner != actor:
        raise PermissionDenied(
            f"The service '{service.name}' belongs to another owner. This key may change only what"
            " it registered itself."
        )


def _assign(row: Any, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if value is not None:
            setattr(row, name, value)


def _save_checked(row: Any, *, prefix: str = "") -> None:
    """Check every rule of the model, then save.

    Raises:
        ValidationFailed: with the errors at `prefix` plus the field's name.
    """
    try:
        row.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        raise as_validation_failed(error, prefix=prefix) from None
    row.save()


def as_validation_failed(error: ValidationError, *, prefix: str = "") -> ValidationFailed:
    """Turn Django's error into ours, with every path prefixed."""
    errors = {f"{prefix}{name}": messages for name, messages in error.message_dict.items()}
    count = sum(len(messages) for messages in errors.values())
    first = next(iter(errors.items()))
    sentence = f"{first[0]}: {first[1][0]}"
    return ValidationFailed(
        sentence if count == 1 else f"{sentence} ({count} errors in all.)", errors=errors
    )


def _replace_actions(service: Service, actions: Sequence[Mapping[str, Any]]) -> None:
    known = {action.name: action for action in service.actions.all()} if service.pk else {}
    seen: set[str] = set()
    for position, fields in enumerate(actions):
        prefix = f"actions[{position}]."
        name = str(fields.get("name", ""))
        if name in seen:
            raise ValidationFailed(
                f"The action '{name}' is listed twice.",
                errors={f"{prefix}name": ["Each action may be listed once."]},
            )
        seen.add(name)
        row = ServiceAction(service=service, name=name)
        if name in known:
            # The same row, but nothing of what an earlier registration said of it.
            row.pk, row.created_at = known[name].pk, known[name].created_at
            row._state.adding = False
        _assign(row, fields)
        _save_checked(row, prefix=prefix)
    service.actions.exclude(name__in=seen).delete()


def _register_instance(service: Service, *, url: str, fields: Mapping[str, Any]) -> bool:
    instance = service.instances.filter(url=url).first()
    created = instance is None
    if instance is None:
        if service.instances.count() >= MAX_INSTANCES:
            raise ValidationFailed(
                f"A service may have at most {MAX_INSTANCES} instances. Remove those that are gone.",
                errors={"url": ["Too many instances."]},
            )
        instance = ServiceInstance(service=service, url=url)
    _assign(instance, fields)
    try:
        instance.full_clean(exclude=("service",), validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        raise as_validation_failed(error) from None
    get_discovery().register(instance, at=timezone.now())
    if status := fields.get("status"):
        ServiceInstance.objects.filter(pk=instance.pk).update(status=instance_status(status))
    return created


def instance_status(value: str) -> str:
    """The stored word for a status that a caller gave.

    Raises:
        ValidationFailed: it is not a status.
    """
    try:
        return ServiceStatus.parse(value).value
    except ValueError as error:
        raise ValidationFailed(f"status: {error}", errors={"status": [str(error)]}) from None


def add_instance(service: Service, *, url: str, fields: Mapping[str, Any]) -> bool:
    """Add or refresh one instance; True when it is new."""
    with transaction.atomic():
        locked = _lock(service)
        created = _register_instance(locked, url=url, fields=fields)
        refresh_status(locked)
        locked.save(update_fields=("updated_at",))
        record_change(locked, RegistryChangeKind.UPDATED)
    return created


def remove_instance(service: Service, instance_id: str) -> None:
    """Forget one instance.

    Raises:
        NotFound: the service has no such instance.
    """
    with transaction.atomic():
        locked = _lock(service)
        instance = next((i for i in locked.instances.all() if str(i.pk) == str(instance_id)), None)
        if instance is None:
            raise NotFound(f"The service '{service.name}' has no instance '{instance_id}'.")
        get_discovery().deregister(instance)
        if not refresh_status(locked) and not locked.instances.exists():
            locked.status = ServiceStatus.OFFLINE  # nobody is left to call
        locked.save(update_fields=("status", "updated_at"))
        record_change(locked, RegistryChangeKind.UPDATED)


def update_service(
    service: Service, registration: Registration, *, actor: str = "", only_as_read: bool = False
) -> Service:
    """Change what is given. A new URL moves the only instance; beside others it adds one.

    Raises:
        ValidationFailed: a field breaks a rule.
        Conflict: the new name is taken; or, with `only_as_read`, the row was changed since.
    """
    try:
        with transaction.atomic():
            locked = _lock(service, only_as_read=only_as_read)
            locked.name = registration.name
            _assign(locked, registration.fields)
            _save_checked(locked)
            if registration.actions is not None:
                _replace_actions(locked, registration.actions)
            _update_instance(locked, registration)
            refresh_status(locked)
            record_change(locked, RegistryChangeKind.UPDATED)
    except IntegrityError:
        raise Conflict(f"A service named '{registration.name}' exists already.") from None
    if registration.status:
        return set_service_status(locked, registration.status, actor=actor)
    return _reload(locked)


def _update_instance(service: Service, registration: Registration) -> None:
    instances = list(service.instances.all())
    if registration.url is None:
        for instance in instances if registration.instance_fields else ():
            _assign(instance, registration.instance_fields)
            _save_checked(instance)
        return
    only = instances[0] if len(instances) == 1 else None
    if only is not None and only.url != registration.url:
        ServiceInstance.objects.filter(pk=only.pk).update(url=registration.url)
    _register_instance(service, url=registration.url, fields=registration.instance_fields)


def unregister_service(service: Service, *, actor: str = "", only_as_read: bool = False) -> None:
    """Forget a service with its instances and actions. What ran with it stays on record.

    Raises:
        Conflict: with `only_as_read`, the row was changed since.
    """
    with transaction.atomic():
        locked = _lock(service, only_as_read=only_as_read)
        locked.status = ServiceStatus.OFFLINE
        record_change(locked, RegistryChangeKind.UNREGISTERED)
        name, pk = locked.name, locked.pk
        for instance in locked.instances.all():
            get_discovery().deregister(instance)
        locked.delete()
        mediator.publish_on_commit("service_unregistered", service_id=pk, name=name, actor=actor)


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """A sign of life; which instance it is from may be left out when there is only one."""

    instance_id: str = ""
    url: str = ""
    status: str = ""
    metadata: Mapping[str, Any] | None = None


def record_heartbeat(service: Service, beat: Heartbeat) -> Service:
    """Take a sign of life of an instance.

    MAINTENANCE stays; any other status yields to what the instance says (ONLINE when silent).

    Raises:
        NotFound: no instance has that id or URL, or the service has none.
        ValidationFailed: the service has several and the beat does not say which, or a wrong status.
    """
    instance = _beating_instance(service, beat)
    status = instance_status(beat.status) if beat.status else ServiceStatus.ONLINE.value
    metadata = None if beat.metadata is None else dict(beat.metadata)
    at = timezone.now()
    as_before = status == instance.status or instance.status == ServiceStatus.MAINTENANCE
    if as_before and get_discovery().renew(instance, at=at, status=status, metadata=metadata):
        return service
    with transaction.atomic():
        locked = _lock(service)
        instance = _lock_instance(instance)
        get_discovery().renew(instance, at=at, status=status, metadata=metadata)
        refresh_status(locked, note=True)
    return _reload(service)


def _lock_instance(instance: ServiceInstance) -> ServiceInstance:
    locked = ServiceInstance.objects.select_for_update().filter(pk=instance.pk).first()
    if locked is None:
        raise NotFound(f"The instance '{instance.url}' was removed meanwhile. Register it first.")
    return locked


def _beating_instance(service: Service, beat: Heartbeat) -> ServiceInstance:
    instances = list(service.instances.all())
    if not instances:
        raise NotFound(
            f"The service '{service.name}' has no instance. Register it with its url first."
        )
    if not beat.instance_id and not beat.url:
        if len(instances) == 1:
            return instances[0]
        sentence = f"The service has {len(instances)} instances: say which one beats."
        raise ValidationFailed(
            sentence, errors={"url": [f"{sentence} Give its url or instance_id."]}
        )
    for instance in instances:
        if str(instance.pk) == beat.instance_id or (beat.url and instance.url == beat.url):
            return instance
    raise NotFound(
        f"The service '{service.name}' has no instance"
        f" '{beat.instance_id or beat.url}'. Register it first."
    )


def set_service_status(service: Service, status: str, *, actor: str = "") -> Service:
    """Set the status of a service and all its instances.

    MAINTENANCE stays until another status is set; every other status holds until a heartbeat says
    otherwise.

    Raises:
        ValidationFailed: it is not a status.
    """
    value = instance_status(status)
    with transaction.atomic():
        locked = _lock(service)
        locked.instances.update(status=value, expired_at=None)
        if not locked.instances.exists() and locked.status != value:
            locked.status = value
            locked.save(update_fields=("status", "updated_at"))
            record_change(locked, RegistryChangeKind.STATUS_CHANGED)
        refresh_status(locked, note=True)
        mediator.publish_on_commit(
            "service_status_set", service_id=locked.pk, status=value, actor=actor
        )
    return _reload(locked)


def refresh_status(service: Service, *, note: bool = False) -> bool:
    """Derive the status from the instances; with `note`, tell the watchers when it changed."""
    status = derive_status(ServiceInstance.objects.filter(service=service))
    if status is None or status == service.status:
        return False
    service.status = status
    service.save(update_fields=("status", "updated_at"))
    if note:
        record_change(service, RegistryChangeKind.STATUS_CHANGED)
    return True


def record_change(service: Service, kind: str) -> None:
    """Append to the log that discovery watchers follow; call it inside the transaction of the change.

    Writers take turns, so that no index becomes visible after a higher one was read.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('registry_change'))")
    RegistryChange.objects.create(
        service_id=service.pk, service_name=service.name, kind=kind, status=service.status
    )
    mediator.publish_on_commit("registry_changed", service_id=service.pk, kind=str(kind))


def expire_instances(*, now: datetime | None = None, limit: int = 500) -> list[ServiceInstance]:
    """Mark instances whose heartbeats stopped as OFFLINE, and their services accordingly."""
    expired = get_discovery().expire(now=now or timezone.now(), limit=limit)
    for service in {instance.service.pk: instance.service for instance in expired}.values():
        with transaction.atomic():
            locked = Service.objects.select_for_update().filter(pk=service.pk).first()
            if locked is not None:
                refresh_status(locked, note=True)
        mediator.publish("instance_expired", service_id=service.pk, name=service.name)
    return expired


def forget_old(*, now: datetime, age: timedelta, limit: int = 500) -> int:
    """Drop instances that have been gone for longer than `age`, and old entries of the change log."""
    gone = ServiceInstance.objects.filter(
        status=ServiceStatus.OFFLINE, last_heartbeat_at__lt=now - age
    )
    dropped = 0
    for instance in gone.select_related("service")[:limit]:
        remove_instance(instance.service, str(instance.pk))
        dropped += 1
    last = RegistryChange.objects.order_by("-index").values_list("index", flat=True).first()
    if last:
        RegistryChange.objects.filter(index__lte=last - KEPT_CHANGES).delete()
    return dropped


def _lock(service: Service, *, only_as_read: bool = False) -> Service:
    locked = Service.objects.select_for_update().filter(pk=service.pk).first()
    if locked is None:
        raise NotFound(f"The service '{service.name}' was removed meanwhile.")
    if only_as_read and locked.updated_at != service.updated_at:
        raise Conflict(f"The service '{service.name}' was changed meanwhile. Read it again first.")
    return locked


def _reload(service: Service) -> Service:
    return Service.objects.with_parts().get(pk=service.pk)
