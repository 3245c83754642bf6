"""Lets actions of a service use its credential: what they are called at is granted, not their name.

Who registers a service says itself what its actions are. So what it says otherwise later on is not
sent with the secret that somebody else linked, until a person who may use credentials allows it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from core import audit
from core.models import AuditVerb
from registry.credentials.audit import record
from registry.models import CredentialEventKind, Service, ServiceAction
from registry.policies.credential_grants import (
    GrantLine,
    GrantState,
    OwnGrant,
    call_at,
    state_of,
)


@dataclass(frozen=True, slots=True)
class ActionUse:
    """An action of a service with a credential: what it sends now, and whether that is granted."""

    action: ServiceAction
    calls: frozenset[str]
    grant: OwnGrant | None
    state: GrantState


def granted_calls(action: ServiceAction, credential_id: UUID | None) -> frozenset[str] | None:
    """Return the calls that an action may make with a credential; None where it has none."""
    if credential_id is None:
        return None
    grant = OwnGrant.read(action.credential_grant)
    covered = grant is not None and str(credential_id) in grant.credentials
    return grant.calls if grant is not None and covered else frozenset()


def calls_of(action: ServiceAction, urls: Iterable[str]) -> frozenset[str]:
    """Return what instances at these URLs are asked for by an action."""
    method, path = str(action.method), action.path or f"/{action.name}"
    return frozenset(call_at(url, method=method, path=path) for url in [*urls] or [""])


def uses_of_actions(service: Service) -> list[ActionUse]:
    """Return the uses of a service's credential by its actions, by name; none without a credential.

    Instances and actions are read unless they were prefetched.
    """
    if service.credential_id is None:
        return []
    urls = [instance.url for instance in service.instances.all()]
    return [
        _use_of(action, urls, str(service.credential_id))
        for action in sorted(service.actions.all(), key=lambda action: action.name)
    ]


def _use_of(action: ServiceAction, urls: Iterable[str], credential: str) -> ActionUse:
    grant, calls = OwnGrant.read(action.credential_grant), calls_of(action, urls)
    return ActionUse(action, calls, grant, state_of(grant, credential=credential, calls=calls))


def lines_of_actions(service: Service) -> list[GrantLine]:
    """Return the same as it is told."""
    return [_line_of(service, use) for use in uses_of_actions(service)]


def _line_of(service: Service, use: ActionUse) -> GrantLine:
    grant, credential = use.grant, service.credential
    assert credential is not None
    before = ", ".join(sorted(grant.calls)) if grant is not None else ""
    is_changed = use.state == GrantState.CHANGED
    return GrantLine(
        subject=use.action.name,
        call=", ".join(sorted(use.calls)),
        target=f"service {service.name}",
        credential=credential.name,
        state=use.state,
        granted_by=grant.by if grant is not None else "",
        granted_at=grant.at if grant is not None else "",
        note=f"Granted as {before}." if is_changed else "",
    )


def grant_actions(
    service: Service, *, actor: str, names: Collection[str] | None = None
) -> list[ServiceAction]:
    """Let actions use the service's credential as they are now; return those that could not before.

    All of them unless `names` says which. Call it inside the transaction of what allows it.
    """
    service.__dict__.pop("_prefetched_objects_cache", None)
    uses = [
        use
        for use in uses_of_actions(service)
        if use.state != GrantState.GRANTED and (names is None or use.action.name in names)
    ]
    credential = service.credential
    if credential is None or not uses:
        return []
    now = timezone.now().isoformat()
    for use in uses:
        grant = OwnGrant(frozenset({str(credential.pk)}), use.calls, actor, now)
        use.action.credential_grant = grant.document()
        use.action.save(update_fields=("credential_grant", "updated_at"))
        detail = ", ".join(sorted(use.calls))
        subject = f"{service}: {use.action.name}"
        record(credential, CredentialEventKind.GRANTED, actor=actor, subject=subject, detail=detail)
    granted = {use.action.name: sorted(use.calls) for use in uses}
    audit.record(
        AuditVerb.GRANTED, service, changes={"actions": granted, "credential": credential.name}
    )
    return [use.action for use in uses]
