"""Registers services: those that come together in one transaction, where they are plain."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone

from core import audit
from core.db.locking import columns_of
from core.db.rows import among, fetch_all, insert_rows
from core.exceptions import Conflict, IntegrationError
from core.identifiers import read_id
from core.json.equality import json_equal
from core.models import AuditEntry, AuditVerb
from core.request_ids import current_request_id
from registry.credentials.links import Link, noting_denials
from registry.discovery.base import Renewal, get_discovery
from registry.discovery.change_log import record_change, record_changes
from registry.models import (
    RegistryChangeKind,
    Service,
    ServiceAction,
    ServiceInstance,
    ServiceStatus,
)
from registry.models.address_fields import AddressField
from registry.models.status import derive_status, parse_status
from registry.policies.registering import Company, Registrant, check_weight
from registry.services.acceptance import check_owner, decide_acceptance, waits_for_others
from registry.services.grants import grant_given, with_awaiting
from registry.services.lifecycle import (
    ANYBODY,
    Registration,
    action_as_given,
    admit_changed,
    assign_fields,
    changed_fields,
    check_instance,
    check_row,
    check_share,
    checked_actions,
    register_instance,
    replace_actions,
    room_of,
)
from registry.services.lookup import base_url_of, reload_service
from registry.services.plain_changes import (
    Applicant,
    PlannedChange,
    first_of_each,
    plan_change,
    store_changes,
)
from registry.services.readings import ServiceReading, read_new, read_services
from registry.services.status import refresh_status

# What a registration without news changes of an instance.
_RENEWED = frozenset(("last_heartbeat_at", "expires_at"))
# By these a registration renews an instance for another time.
_OF_LIVENESS = frozenset(("liveness", "probing"))


@dataclass(frozen=True)
class Registered:
    """The service, and whether it or its instance is new."""

    service: Service
    created: bool


Application = tuple[Registration, Applicant]


@dataclass(frozen=True)
class PlainlyRegistered:
    """A registration that was plain: the service as it is committed, and whether it is new."""

    reading: ServiceReading
    created: bool


def register_service(
    registration: Registration,
    *,
    registrant: Registrant = ANYBODY,
    may_use_credentials: bool = True,
) -> Registered:
    """Take up a service, or a new instance of one, or refresh what is known of both.

    Raises:
        ValidationFailed: a field breaks a rule.
        PermissionDenied: the registrant may not register or change it so; or another credential is
            wanted without `may_use_credentials`.
    """
    applicant = Applicant(
        registrant=registrant,
        may_use_credentials=may_use_credentials,
        audited=audit.current_actor(),
        request_id=current_request_id(),
    )
    [plain] = register_many([(registration, applicant)])
    if plain is not None:
        return Registered(plain.reading.service(), plain.created)
    link = Link(
        registration.credential,
        actor=registrant.name,
        is_allowed=may_use_credentials,
        grants_users=registration.grants_users,
    )
    attempt = partial(_register, registration, registrant=registrant, link=link)
    with contextlib.suppress(IntegrityError):
        return attempt()
    # Another registration of the same name won the race; now it is there to refresh.
    try:
        return attempt()
    except IntegrityError:
        raise Conflict(
            f"The service '{registration.name}' is being registered by somebody else. Try again."
        ) from None


def register_many(applications: Sequence[Application]) -> list[PlainlyRegistered | None]:
    """Take up new services and refresh those that are there, some statements for all.

    It returns after the commit, unless the caller has a transaction open. None is for what changes
    more than a service says of itself, or is refused: nothing is done for it but what it may do
    again, and it is for `register_service`.
    """
    # One that reads as an id is no name, but would find the service of that id.
    names = {registration.name for registration, _ in applications}
    readings = read_services({name for name in names if read_id(name) is None})
    now = timezone.now()
    refreshes: dict[int, _Refresh] = {}
    for place, application in enumerate(applications):
        reading = readings.get(application[0].name)
        refresh = _refresh(reading, *application, now) if reading is not None else None
        if refresh is not None:
            refreshes[place] = refresh
    registered = _store_refreshes(refreshes)
    absent = {n: a for n, a in enumerate(applications) if a[0].name not in readings}
    registered |= _create_many(absent, now) if absent else {}
    return [registered.get(place) for place in range(len(applications))]


@dataclass(frozen=True, slots=True)
class _Refresh:
    """A registration of an instance that is there, and what it changes of its service."""

    reading: ServiceReading
    renewal: Renewal
    change: PlannedChange | None


def _store_refreshes(refreshes: Mapping[int, _Refresh]) -> dict[int, PlainlyRegistered]:
    """Store refreshes; those are left out that are not as they were read any more."""
    changes = first_of_each([each.change for each in refreshes.values() if each.change])
    changed = store_changes(changes)
    readings = {}
    for place, each in refreshes.items():
        readings[place] = each.reading if each.change is None else None
        if each.change in changes:
            readings[place] = changed.get(each.reading.state.service.pk)
    renewals = {
        each.renewal.instance.pk: each.renewal
        for place, each in refreshes.items()
        if readings[place] is not None
    }
    stored = get_discovery().renew(list(renewals.values()))
    registered = {}
    for place, reading in readings.items():
        instance = refreshes[place].renewal.instance
        if reading is not None and instance.pk in stored:
            reading.renew(instance)
            registered[place] = PlainlyRegistered(reading, created=False)
    return registered


def _refresh(
    reading: ServiceReading, registration: Registration, applicant: Applicant, now: datetime
) -> _Refresh | None:
    """Return what a refresh renews and changes; None where it does more."""
    service = reading.state.service
    try:
        check_owner(service, applicant.registrant)
        shared = reading.state.by_url.get(base_url_of(registration.url or ""))
        reported = parse_status(registration.status or ServiceStatus.ONLINE)
    except (IntegrationError, PermissionDenied):
        return None
    if shared is None or not _is_of_service_alone(service, shared, registration):
        return None
    change = None
    if not _has(service, registration.fields):
        change = plan_change(reading, registration.fields, applicant)
        if change is None or change.fields & _OF_LIVENESS:
            return None
    instance = reading.instance_of(shared)
    changes = instance.record_heartbeat(at=now, status=reported, is_registration=True)
    if not changes.keys() <= _RENEWED:
        return None
    return _Refresh(reading, Renewal(instance, instance.has_beaten), change)


def _is_of_service_alone(
    service: Service, instance: ServiceInstance, registration: Registration
) -> bool:
    """Return whether it says nothing new of the instance, the actions and the credential."""
    credential = service.credential
    names = {str(credential.pk), credential.name} if credential is not None else {""}
    if registration.credential is not None and registration.credential not in names:
        return False
    return _has(instance, registration.instance_fields) and _has_actions(
        service, registration.actions
    )


def _has(row: models.Model, fields: Mapping[str, Any]) -> bool:
    return all(
        value is None or json_equal(getattr(row, name), _as_stored(row, name, value))
        for name, value in fields.items()
    )


def _as_stored(row: models.Model, name: str, value: Any) -> Any:
    field: Any = row._meta.get_field(name)
    return field.normalise(value) if isinstance(field, AddressField) and value else value


def _has_actions(service: Service, actions: Sequence[Mapping[str, Any]] | None) -> bool:
    if actions is None:
        return True
    stored = {action.name: action for action in service.actions.all()}
    rows = [action_as_given(service, fields, stored) for fields in actions]
    return len(rows) == len(stored) and all(
        row.name in stored and json_equal(columns_of(row), columns_of(stored[row.name]))
        for row in rows
    )


@dataclass(frozen=True, slots=True)
class _NewService:
    """The rows of a service that is not stored yet."""

    service: Service
    actions: list[ServiceAction]
    instance: ServiceInstance
    entries: list[AuditEntry]


def _create_many(
    applications: Mapping[int, Application], now: datetime
) -> dict[int, PlainlyRegistered]:
    """Store new services together; those are left out that are refused, or are there after all."""
    try:
        with transaction.atomic():
            return _create_in_transaction(applications, now)
    except IntegrityError:  # somebody else has registered one of them since
        return {}


def _create_in_transaction(
    applications: Mapping[int, Application], now: datetime
) -> dict[int, PlainlyRegistered]:
    owners = sorted({applicant.registrant.name for _, applicant in applications.values()})
    rooms = {owner: room_of(owner, lately=True) for owner in owners}
    names = {registration.name.lower() for registration, _ in applications.values()}
    condition, params = among("lower(name)", list(names), "text[]")
    statement = f"SELECT lower(name) FROM registered_service WHERE {condition}"  # noqa: S608
    taken = {name for (name,) in fetch_all(statement, params)}
    news: dict[int, _NewService] = {}
    company: dict[tuple[str, str], Company] = {}
    for place, (registration, applicant) in applications.items():
        name = registration.name.lower()
        new = None if name in taken else _new_service(registration, applicant, now, company)
        owner = applicant.registrant.name
        if new is not None and rooms[owner] > 0:
            news[place] = new
            taken.add(name)
            rooms[owner] -= 1
    # Always in one order, so that those who store the same names do not wait in a ring.
    rows = sorted(news.values(), key=lambda new: new.service.name.lower())
    readings = _store(rows) if rows else {}
    return {
        place: PlainlyRegistered(readings[new.service.id], created=True)
        for place, new in news.items()
    }


def _new_service(
    registration: Registration,
    applicant: Applicant,
    now: datetime,
    company: dict[tuple[str, str], Company],
) -> _NewService | None:
    """Return the rows of a new service; None where it is refused, or is more than plain."""
    if registration.url is None or registration.credential:
        return None
    registrant = applicant.registrant
    service = Service(name=registration.name, owner=registrant.name)
    instance = ServiceInstance(service=service, url=registration.url)
    try:
        assign_fields(service, registration.fields)
        check_row(service)
        check_weight(registrant, registration.instance_fields.get("weight"))
        if waits_for_others(service, registrant):
            return None
        service.acceptance = decide_acceptance(service, registrant, asked=company)
        actions = checked_actions(service, registration.actions or (), {})
        reported = parse_status(registration.status or ServiceStatus.ONLINE)
        assign_fields(instance, registration.instance_fields)
        check_instance(instance)
    except (IntegrationError, PermissionDenied):
        return None
    instance.record_heartbeat(at=now, status=reported, is_registration=True)
    service.status = derive_status([instance], imposed=service.imposed_status) or service.status
    with applicant.acting():
        made = (audit.entry_on(AuditVerb.CREATED, row) for row in (service, instance))
        entries = [entry for entry in made if entry is not None]
    return _NewService(service, actions, instance, entries)


def _store(news: Sequence[_NewService]) -> dict[UUID, ServiceReading]:
    """Store new services; return what is stored of each, by its id."""
    services = [new.service for new in news]
    instances = [new.instance for new in news]
    actions = [action for new in news for action in new.actions]
    entries = [entry for new in news for entry in new.entries]
    with connection.wrap_database_errors:
        insert_rows(*services, *instances, *actions, *entries)
        for instance in instances:
            get_discovery().hold(instance, columns=())
        readings = read_new([service.id for service in services])
        record_changes(services, RegistryChangeKind.REGISTERED)
    return readings


@noting_denials()
@transaction.atomic
def _register(registration: Registration, *, registrant: Registrant, link: Link) -> Registered:
    service = Service.objects.select_for_update().filter(name__iexact=registration.name).first()
    created = service is None
    if service is None:
        check_share(registrant.name)
        service = Service(name=registration.name, owner=registrant.name)
    else:
        check_owner(service, registrant)
    before = {} if created else audit.snapshot(service)
    was = ("", "") if created else (service.name, service.type)
    columns = columns_of(service)
    credential_before = service.credential_id
    assign_fields(service, registration.fields)
    link.apply(service)
    check_row(service)
    admit_changed(service, registrant, was=was)
    service.save()
    changes = replace_actions(service, registration.actions)
    if created:
        audit.record(AuditVerb.CREATED, service)
    new_instance = registration.url is not None and register_instance(
        service,
        url=registration.url,
        fields={**registration.instance_fields, "status": registration.status},
        registrant=registrant,
    )
    if not created:
        audit.record_changes(service, before, changes)
    grant_given(service, registration.actions, link, credential_before)
    refresh_status(service)
    created = created or new_instance
    if created:
        record_change(service, RegistryChangeKind.REGISTERED)
    else:
        fields = changed_fields(columns, service, registration)
        record_change(service, RegistryChangeKind.UPDATED, fields)
    return Registered(with_awaiting(service, reload_service(service)), created)
