"""Lets integrations use the credentials of what they call, for what they send as they are now."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from core import audit
from core.db.locking import lock_row
from core.json.equality import canonical_json
from core.models import AuditVerb
from core.references import title_of
from registry.calls.permits import CredentialedCall, Permit, not_granted
from registry.credentials.audit import record
from registry.models import (
    Connection,
    Credential,
    CredentialEventKind,
    Integration,
    Service,
    TargetKind,
)
from registry.policies.credential_grants import GrantLine, GrantState, OwnGrant, state_of

# What decides what is sent; whom it is sent to is said by id, as names change.
_SENDING = ("target_kind", "action", "method", "path", "request_mapping", "unknown_fields")
Carrier = Service | Connection


@dataclass(frozen=True, slots=True)
class IntegrationUse:
    """A credential that an integration reaches, through what, and whether that is granted."""

    carrier: Carrier
    credential: Credential
    grant: OwnGrant | None
    state: GrantState


def sending_of(integration: Integration) -> str:
    """Return a digest of what an integration sends, but for whom it sends it to."""
    columns = {name: getattr(integration, name) for name in _SENDING}
    return hashlib.sha256(canonical_json(columns).encode()).hexdigest()[:32]


def _call_of(integration: Integration, *, carrier: str, credential: str) -> str:
    return f"{sending_of(integration)} {carrier} {credential}"


def carriers_of(integration: Integration) -> Iterator[Carrier]:
    """Yield what an integration calls that has a credential: of a type, every service with it."""
    if integration.target_kind == TargetKind.CONNECTION:
        connection = integration.connection
        if connection is not None and connection.credential_id is not None:
            yield connection
        return
    services = Service.objects.select_related("credential").filter(credential__isnull=False)
    if integration.target_kind == TargetKind.SERVICE:
        service = Service.objects.select_related("credential").find(integration.target)
        if service is not None and service.credential_id is not None:
            yield service
        return
    services = services.filter(type=integration.target)
    is_request = "/" in integration.action  # and no name, which any service may answer
    yield from services if is_request else services.filter(actions__name=integration.action)


def uses_of_integration(integration: Integration) -> list[IntegrationUse]:
    """Return the credentials that an integration reaches now."""
    grant = OwnGrant.read(integration.credential_grant)
    return [_use_of(integration, carrier, grant) for carrier in carriers_of(integration)]


def _use_of(integration: Integration, carrier: Carrier, grant: OwnGrant | None) -> IntegrationUse:
    credential = carrier.credential
    assert credential is not None
    key = str(credential.pk)
    call = _call_of(integration, carrier=str(carrier.pk), credential=key)
    state = state_of(grant, credential=key, calls={call})
    return IntegrationUse(carrier, credential, grant, state)


def use_through(integration: Integration, carrier: Carrier) -> IntegrationUse:
    """Return the use of the credential of one service or connection that an integration calls."""
    return _use_of(integration, carrier, OwnGrant.read(integration.credential_grant))


def lines_of_integration(integration: Integration) -> list[GrantLine]:
    """Return the same as it is told."""
    return [line_of(integration, use) for use in uses_of_integration(integration)]


def line_of(integration: Integration, use: IntegrationUse) -> GrantLine:
    """Return a use as it is told."""
    return GrantLine(
        subject=integration.name,
        call=integration.call,
        target=title_of(use.carrier),
        credential=use.credential.name,
        state=use.state,
        granted_by=use.grant.by if use.grant is not None else "",
        granted_at=use.grant.at if use.grant is not None else "",
        note="It sends something else, or to another, than was granted."
        if use.state == GrantState.CHANGED
        else "",
    )


def holds_grant(integration: Integration) -> bool:
    """Return whether an integration reaches a credential that it may use."""
    return any(use.state == GrantState.GRANTED for use in uses_of_integration(integration))


def grant_integration(integration: Integration, *, actor: str) -> list[IntegrationUse]:
    """Let an integration use what it reaches as it is now; return what it could not before.

    Call it inside the transaction of what allows it.
    """
    uses = uses_of_integration(integration)
    new = [use for use in uses if use.state != GrantState.GRANTED]
    if not new:
        return []
    grant = OwnGrant(
        frozenset(str(use.credential.pk) for use in uses),
        frozenset(
            _call_of(integration, carrier=str(use.carrier.pk), credential=str(use.credential.pk))
            for use in uses
        ),
        actor,
        timezone.now().isoformat(),
    )
    integration.credential_grant = grant.document()
    integration.save(update_fields=("credential_grant", "updated_at"))
    for use in new:
        record(
            use.credential,
            CredentialEventKind.GRANTED,
            actor=actor,
            subject=title_of(integration),
            detail=f"{integration.call} of {title_of(use.carrier)}",
        )
    granted = {title_of(use.carrier): use.credential.name for use in new}
    audit.record(AuditVerb.GRANTED, integration, changes={"credentials": granted})
    return new


def allow_integration(integration: Integration, *, actor: str) -> list[IntegrationUse]:
    """Let an integration use what it reaches as it is now."""
    with transaction.atomic():
        return grant_integration(lock_row(integration), actor=actor)


def permit_of(integration: Integration, caller: Permit | None) -> Permit:
    """Return what is asked before a credential is used for an integration, and for its caller."""
    grant = OwnGrant.read(integration.credential_grant)

    async def permit(use: CredentialedCall) -> None:
        asked = CredentialedCall(
            "integration",
            str(integration.pk),
            integration.name,
            integration.call,
            use.credential_id,
            use.credential_name,
        )
        call = _call_of(integration, carrier=use.id, credential=use.credential_id)
        if grant is None or not grant.covers(use.credential_id, {call}):
            raise not_granted(
                asked,
                subject=f"The integration '{integration.name}'",
                where=f'"Allow" on its page, or POST /registry/integrations/'
                f"{integration.name}/grants",
            )
        if caller is not None:
            await caller(asked)

    return permit
