"""Services and their instances come, are changed, and leave."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from math import inf
from time import monotonic
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from core import audit
from core.cache import BoundedCache
from core.db.locking import columns_of, hold_word, lock_row, unique_name
from core.db.rows import fetch_all
from core.db.validation import as_validation_failed
from core.exceptions import NotFound, ValidationFailed
from core.json.equality import json_equal
from core.json.merge_patch import resolved
from core.models import AuditVerb
from core.references import refuse_if_used
from registry.credentials.links import Link, note_link, noting_denials
from registry.discovery.base import ACTIONS, INSTANCES, get_discovery
from registry.discovery.change_log import log_changed_parts, record_change
from registry.models import (
    RegistryChangeKind,
    Service,
    ServiceAction,
    ServiceInstance,
    ServiceStatus,
)
from registry.models.status import parse_status
from registry.policies.registering import Registrant, check_carried, check_weight
from registry.services.acceptance import decide_acceptance
from registry.services.grants import grant_given, with_awaiting
from registry.services.lookup import base_url_of, reload_service
from registry.services.maintenance import find_instance, set_service_status
from registry.services.status import refresh_status

ANYBODY = Registrant()
COUNTED_SECONDS, AMPLE_ROOM = 1.0, 2_000
# When the services of an owner were counted last, and how many there were.
_owned: BoundedCache[str, tuple[float, int]] = BoundedCache(1_000)


@dataclass(frozen=True, kw_only=True)
class Registration:
    """The fields that a service registers with. None leaves what is known as it is."""

    name: str
    url: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    instance_fields: Mapping[str, Any] = field(default_factory=dict)
    actions: Sequence[Mapping[str, Any]] | None = None
    status: str | None = None
    credential: str | None = None  # id or name of what its calls carry; empty for none
    grants_users: bool = False  # whether what calls it already may use one that is linked


def check_share(owner: str) -> None:
    """Refuse one more service of an owner, such as an API key, that has as many as it may.

    Of two that come at once one waits for the other, in the caller's transaction.

    Raises:
        ValidationFailed: it owns so many already.
    """
    if room_of(owner) < 1:
        raise ValidationFailed.at(
            "owner",
            f"'{owner}' owns {settings.SERVICES_PER_OWNER:,} services, as many as one may own"
            " (SERVICES_PER_OWNER). Remove some first.",
        )


def room_of(owner: str, *, lately: bool = False) -> float:
    """Return how many more services an owner may have; nobody else adds one until that is done.

    It is called in a transaction. With `lately` they are counted at most once a second for as long
    as there is room for more than anybody registers meanwhile: to count them takes the longer, the
    more there are.
    """
    if not owner:
        return inf
    counted = _owned.get(owner) if lately else None
    if counted is not None and monotonic() < counted[0] + COUNTED_SECONDS:
        room = settings.SERVICES_PER_OWNER - counted[1]
        if room > AMPLE_ROOM:
            return float(room)
    hold_word(f"services of {owner}")
    statement = "SELECT count(*) FROM registered_service WHERE owner = %s"
    now, [(owned,)] = monotonic(), fetch_all(statement, [owner])
    _owned[owner] = (now, owned)
    return float(settings.SERVICES_PER_OWNER - owned)


def assign_fields(row: Any, fields: Mapping[str, Any]) -> None:
    for name, value in resolved(row, fields).items():
        if value is not None:
            setattr(row, name, value)


def save_checked(row: Any, *, prefix: str = "") -> None:
    """Check every rule of the model, then save.

    Raises:
        ValidationFailed: with the errors at `prefix` plus the field's name.
    """
    check_row(row, prefix=prefix)
    row.save()


def check_row(row: Any, *, prefix: str = "", exclude: tuple[str, ...] = ()) -> None:
    model: Any = type(row)
    untouched = [
        name
        for name, attribute, default in _defaults_of(model)
        if type(value := getattr(row, attribute)) is type(default) and value == default
    ]
    try:
        row.full_clean(
            exclude={*exclude, *untouched}, validate_unique=False, validate_constraints=False
        )
    except ValidationError as error:
        raise as_validation_failed(error, prefix=prefix) from None


@cache
def _defaults_of(model: Any) -> list[tuple[str, str, Any]]:
    """Return name, attribute and default of fields that need not be given: it breaks no rule."""
    return [
        (field.name, field.attname, field.get_default())
        for field in model._meta.concrete_fields
        if field.has_default() and (field.blank or field.get_default() not in field.empty_values)
    ]


def replace_actions(
    service: Service, actions: Sequence[Mapping[str, Any]] | None
) -> dict[str, Any]:
    """Put the actions that are given in place of those that are stored; return what changed."""
    if actions is None:
        return {}
    registered = {action.name: action for action in service.actions.all()} if service.pk else {}
    changes: dict[str, Any] = {}
    rows = checked_actions(service, actions, registered)
    for row in rows:
        row.save()
        changes |= audit.changes_within(f"actions.{row.name}", registered.get(row.name), row)
    names = {row.name for row in rows}
    service.actions.exclude(name__in=names).delete()
    return changes | (
        {"actions": [sorted(registered), sorted(names)]} if names != set(registered) else {}
    )


def checked_actions(
    service: Service,
    actions: Sequence[Mapping[str, Any]],
    registered: Mapping[str, ServiceAction],
) -> list[ServiceAction]:
    """Return the rows of the actions that are given; nothing is stored.

    Raises:
        ValidationFailed: one breaks a rule, or is listed twice.
    """
    rows: dict[str, ServiceAction] = {}
    for position, fields in enumerate(actions):
        prefix = f"actions[{position}]."
        name = str(fields.get("name", ""))
        if name in rows:
            raise ValidationFailed(
                f"The action '{name}' is listed twice.",
                errors={f"{prefix}name": ["Each action may be listed once."]},
            )
        rows[name] = action_as_given(service, fields, registered)
        check_row(rows[name], prefix=prefix, exclude=("service",))
    return list(rows.values())


def action_as_given(
    service: Service, fields: Mapping[str, Any], registered: Mapping[str, ServiceAction]
) -> ServiceAction:
    """Return the row of an action that is given, in place of the stored one of its name."""
    row = ServiceAction(service=service, name=str(fields.get("name", "")))
    before = registered.get(row.name)
    if before is not None:
        # The same row, but nothing of what an earlier registration said of it.
        row.pk, row.created_at = before.pk, before.created_at
        row._state.adding = False
        # That is an operator's word, unless the service has one.
        row.unknown_fields = before.unknown_fields
        # And that is of who may use credentials: it holds for what is sent as it was.
        row.credential_grant = before.credential_grant
    assign_fields(row, fields)
    return row


def register_instance(
    service: Service, *, url: str, fields: Mapping[str, Any], registrant: Registrant = ANYBODY
) -> bool:
    # Locked, so that what beats say meanwhile is written after this, not under it.
    instance = service.instances.select_for_update().filter(url=url).first()
    created = instance is None
    if instance is None:
        _check_room(service)
        instance = ServiceInstance(service=service, url=url)
    check_weight(registrant, fields.get("weight"), before=instance.weight)
    status = parse_status(fields.get("status") or ServiceStatus.ONLINE)
    assign_fields(instance, {name: value for name, value in fields.items() if name != "status"})
    check_instance(instance)
    get_discovery().release([instance.pk])
    # Not before what was heard until its lease ended.
    instance.record_heartbeat(at=timezone.now(), status=status, is_registration=True)
    get_discovery().hold(instance)
    if created:
        audit.record(AuditVerb.CREATED, instance)
    return created


def _check_room(service: Service) -> None:
    """Refuse one more instance of a service that has as many as it may."""
    most = settings.INSTANCES_PER_SERVICE
    if service.instances.count() >= most:
        raise ValidationFailed.at(
            "url",
            f"'{service.name}' has {most:,} instances, as many as a service may have"
            " (INSTANCES_PER_SERVICE). Remove some first.",
        )


def check_new_instance(fields: Mapping[str, Any]) -> None:
    """Hold what a new instance would be given against every rule; nothing is stored.

    Raises:
        ValidationFailed: a field breaks a rule, or is an address that no call would get past.
    """
    instance = ServiceInstance()
    assign_fields(instance, fields)
    check_instance(instance)


def check_instance(instance: ServiceInstance) -> None:
    check_row(instance, exclude=("service",))


def add_instance(
    service: Service, *, url: str, fields: Mapping[str, Any], registrant: Registrant = ANYBODY
) -> bool:
    """Add or refresh one instance; True when it is new.

    Raises:
        PermissionDenied: its weight is beyond what the registrant may give.
    """
    with transaction.atomic():
        locked = lock_row(service)
        created = register_instance(locked, url=url, fields=fields, registrant=registrant)
        refresh_status(locked)
        log_changed_parts(locked)
    return created


def remove_instance(service: Service, instance_id: str) -> None:
    """Forget one instance.

    Raises:
        NotFound: the service has no such instance.
    """
    with transaction.atomic():
        locked = lock_row(service)
        instance = find_instance(locked, instance_id)
        audit.record(AuditVerb.DELETED, instance)
        get_discovery().deregister(instance)
        refresh_status(locked, default=ServiceStatus.OFFLINE)  # where nobody is left to call
        log_changed_parts(locked)


def forget_gone_instances(*, now: datetime, age: timedelta, limit: int = 500) -> int:
    """Remove at most `limit` instances that are gone for longer than `age`; return how many."""
    silent = ServiceInstance.objects.filter(
        status=ServiceStatus.OFFLINE,
        last_heartbeat_at__lt=now - age,
        service__maintenance_since=None,
    ).exclude(last_answer_at__gte=now - age)
    instances = list(silent.select_related("service")[:limit])
    for instance in instances:
        with contextlib.suppress(NotFound):  # another sweep was there first
            remove_instance(instance.service, str(instance.pk))
    return len(instances)


def update_service(
    service: Service,
    registration: Registration,
    *,
    registrant: Registrant = ANYBODY,
    if_unchanged: bool = False,
    may_use_credentials: bool = True,
) -> Service:
    """Change what is given. A new URL moves the only instance; beside others it adds one.

    Under another type it is a newcomer.

    Raises:
        ValidationFailed: a field breaks a rule.
        Conflict: the new name is taken.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
        PermissionDenied: another credential is wanted without `may_use_credentials`; or a name,
            type or weight that the registrant may not give.
    """
    actor = registrant.name
    link = Link(
        registration.credential,
        actor=actor,
        is_allowed=may_use_credentials,
        grants_users=registration.grants_users,
    )
    named = {"name": registration.name}
    with unique_name(service, named), noting_denials(), transaction.atomic():
        locked = lock_row(service, if_unchanged=if_unchanged)
        before, state = audit.snapshot(locked), _state_of(locked, registration)
        columns = columns_of(locked)
        was, locked.name = (locked.owner, locked.name, locked.type), registration.name
        before_credential = locked.credential_id
        assign_fields(locked, registration.fields)
        admit_changed(locked, registrant, was=was[1:])
        if locked.owner != was[0]:
            check_share(locked.owner)
        link.apply(locked)
        check_row(locked)
        changes = replace_actions(locked, registration.actions)
        audit.record_changes(locked, before, changes)
        _update_instance(locked, registration, registrant)
        if not json_equal(_state_of(locked, registration), state):
            locked.save()
        grant_given(locked, registration.actions, link, before_credential)
        refresh_status(locked)
        fields = changed_fields(columns, locked, registration)
        record_change(locked, RegistryChangeKind.UPDATED, fields)
    if registration.status:
        set_service_status(locked, registration.status, actor=actor)
    return with_awaiting(locked, reload_service(locked))


def _state_of(service: Service, registration: Registration) -> list[Any]:
    """Return what a registration can change of a service and its parts, as it is stored now."""
    names = ("url", *registration.instance_fields)
    actions = [columns_of(row) for row in service.actions.order_by("name")]
    instances = [
        {name: getattr(row, name) for name in names} for row in service.instances.order_by("pk")
    ]
    return [columns_of(service), actions, instances]


def admit_changed(service: Service, registrant: Registrant, *, was: tuple[str, str]) -> None:
    """Admit a service again that has another name or type than it had.

    Raises:
        PermissionDenied: the registrant may not register it so.
    """
    if service.type != was[1]:
        service.acceptance = decide_acceptance(service, registrant)
    elif service.name != was[0]:
        check_carried(registrant, name=service.name, type_name=service.type)


def changed_fields(
    before: Mapping[str, Any], service: Service, registration: Registration
) -> Iterator[str]:
    """Give what a registration may have changed of a service whose columns were like that."""
    yield from (n for n, v in columns_of(service).items() if not json_equal(v, before[n]))
    if registration.url is not None or registration.instance_fields:
        yield INSTANCES
    if registration.actions is not None:
        yield ACTIONS


def _update_instance(service: Service, registration: Registration, registrant: Registrant) -> None:
    instances = list(service.instances.select_for_update())
    if registration.url is None:
        for instance in instances if registration.instance_fields else ():
            before = audit.snapshot(instance)
            weight = registration.instance_fields.get("weight")
            check_weight(registrant, weight, before=instance.weight)
            assign_fields(instance, registration.instance_fields)
            save_checked(instance)
            audit.record_changes(instance, before)
        return
    only = instances[0] if len(instances) == 1 else None
    url = base_url_of(registration.url)
    if only is not None and only.url != url:
        moved = {"url": [only.url, url]}
        audit.record(AuditVerb.CHANGED, only, changes=moved)
        get_discovery().release([only.pk])
        ServiceInstance.objects.filter(pk=only.pk).update(url=url)
    fields = registration.instance_fields
    register_instance(service, url=url, fields=fields, registrant=registrant)


def unregister_service(
    service: Service, *, actor: str = "", if_unchanged: bool = False, force: bool = False
) -> None:
    """Forget a service with its instances and actions. What ran with it stays on record.

    Raises:
        Conflict: something uses it, without `force`.
        PreconditionFailed: with `if_unchanged`, the row was changed since.
    """
    with transaction.atomic():
        locked = lock_row(service, if_unchanged=if_unchanged)
        refuse_if_used(locked, force=force)
        locked.status = ServiceStatus.OFFLINE
        record_change(locked, RegistryChangeKind.UNREGISTERED)
        note_link(locked, before=locked.credential, actor=actor)
        audit.record(AuditVerb.DELETED, locked)
        for instance in locked.instances.all():
            get_discovery().deregister(instance)
        locked.delete()
