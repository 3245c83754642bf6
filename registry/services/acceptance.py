"""Who may register what: the rules held against the tables, and newcomers who wait for a person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import transaction

from core import audit
from core.db.locking import hold_word, lock_row
from core.exceptions import Conflict
from core.models import AuditVerb
from registry.models import Service, ServiceStatus
from registry.policies.registering import (
    Acceptance,
    Company,
    Registrant,
    RegistrationPolicy,
    admit,
    asks_company,
    check_may_change,
)
from registry.services.lookup import reload_service
from registry.services.status import log_instance_change


def registrant_with(name: str, may: Callable[[str], bool], **patterns: Any) -> Registrant:
    """Return who registers under this name, with the scopes that it `may` use."""
    return Registrant(
        name=name,
        only_own=not may("registry:write"),
        operates=may("registry:operate"),
        **patterns,
    )


def check_owner(service: Service, registrant: Registrant) -> None:
    """Refuse who may not change this service, or beat for it.

    Raises:
        PermissionDenied: it belongs to another owner, was refused by an operator, or the key does
            not carry its name or type.
    """
    check_may_change(
        registrant,
        owner=service.owner,
        name=service.name,
        type_name=service.type,
        acceptance=service.acceptance,
    )


def decide_acceptance(
    service: Service,
    registrant: Registrant,
    *,
    asked: dict[tuple[str, str], Company] | None = None,
) -> Acceptance:
    """Return how a service comes in under its name and type, in the caller's transaction.

    `asked` is what others who come at the same time have asked for, by owner and type.

    Raises:
        PermissionDenied: the key does not carry its name or type.
    """
    policy, key = settings.REGISTRATION_POLICY, (registrant.name, str(service.type))
    asked = {} if asked is None else asked
    if key not in asked:
        asked[key] = _company_of(service, registrant, policy)
    return admit(
        registrant,
        policy=policy,
        name=service.name,
        type_name=service.type,
        company=asked[key],
    )


def waits_for_others(service: Service, registrant: Registrant) -> bool:
    """Return whether that depends on what others register meanwhile."""
    policy = settings.REGISTRATION_POLICY
    is_approved = policy == RegistrationPolicy.APPROVED
    return is_approved and asks_company(registrant, policy, service.type)


def _company_of(service: Service, registrant: Registrant, policy: str) -> Company:
    if not asks_company(registrant, policy, service.type):
        return Company()
    accepted = Service.objects.filter(type=service.type, acceptance=Acceptance.ACCEPTED)
    if policy == RegistrationPolicy.KEYED:
        return Company(own=accepted.filter(owner=registrant.name).exclude(pk=service.pk).exists())
    # Of two that come at once under a type that nobody serves, one is the first.
    hold_word(f"services of type {service.type}")
    return Company(others=accepted.exclude(owner=registrant.name).exclude(pk=service.pk).exists())


def accept_service(service: Service, *, reason: str = "") -> Service:
    """Let a service that waits, or was refused, be discovered and called.

    Raises:
        Conflict: it is accepted already.
    """
    return _settle(service, Acceptance.ACCEPTED, AuditVerb.APPROVED, reason=reason)


def refuse_service(service: Service, *, reason: str = "") -> Service:
    """Keep a service that waits from being discovered, called, changed and heard.

    Raises:
        Conflict: it does not wait.
    """
    return _settle(service, Acceptance.REFUSED, AuditVerb.REJECTED, reason=reason)


def _settle(service: Service, acceptance: Acceptance, verb: AuditVerb, *, reason: str) -> Service:
    with transaction.atomic():
        locked = lock_row(service)
        before = locked.acceptance
        if before == acceptance or (
            acceptance == Acceptance.REFUSED and before != Acceptance.PENDING
        ):
            raise Conflict(f"The service '{locked.name}' is {before.lower()} already.")
        locked.acceptance = acceptance
        locked.save(update_fields=("acceptance", "updated_at"))
        log_instance_change(locked, default=ServiceStatus.UNKNOWN)
        changes = {"acceptance": [str(before), str(acceptance)]}
        audit.record(verb, locked, reason=reason, changes=changes)
    return reload_service(locked)
