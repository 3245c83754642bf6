"""Finds the credentials that calling something leads to, and what stands in their way there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from core.db.models import find_bound
from core.references import title_of
from registry.calls.targets.request_action import registered_request, request_in
from registry.calls.targets.resolver import CallTarget
from registry.credentials.grants import uses_of_actions
from registry.integrations.grants import uses_of_integration
from registry.models import Connection, Credential, Integration, Service, ServiceAction
from registry.policies.credential_grants import GrantState


def is_request(action: str) -> bool:
    """Return whether an action of a service is a method and a path, and no name."""
    return "/" in action


@dataclass(frozen=True, slots=True)
class CredentialReach:
    """A credential that a call leads to.

    `kind`, `id` and `name` are of what is called, `carrier_id` of the service or connection that
    has the credential. `state` is that of the grants of the action and the integration on the way,
    and `note` says what is to be allowed there.
    """

    kind: str
    id: UUID
    name: str
    carrier_id: UUID
    credential: Credential
    call: str
    state: GrantState = GrantState.GRANTED
    note: str = ""

    def leads_through(self, key: UUID) -> bool:
        """Return whether it is by what has this id that the credential is reached."""
        return key in (self.id, self.carrier_id)


def reaches_of(target: CallTarget, action: str) -> list[CredentialReach]:
    """Return the credentials that a call of a target leads to now; of a type, those of all."""
    return list(_FINDERS[target.kind](target, action))


def _of_connection(target: CallTarget, action: str) -> Iterator[CredentialReach]:
    rows = Connection.objects.select_related("credential")
    row = find_bound(rows, target.name, key=target.id)
    if row is not None and row.credential is not None:
        yield CredentialReach("connection", row.pk, row.name, row.pk, row.credential, action)


def _of_service(target: CallTarget, action: str) -> Iterator[CredentialReach]:
    service = find_bound(Service.objects.with_parts(), target.name, key=target.id)
    if service is not None:
        yield from _of_action(service, action)


def _of_type(target: CallTarget, action: str) -> Iterator[CredentialReach]:
    rows = Service.objects.with_parts().filter(type=target.name, credential__isnull=False)
    if not is_request(action):
        rows = rows.filter(actions__name=action)
    for service in rows.order_by("name"):
        yield from _of_action(service, action)


def _of_action(service: Service, action: str) -> Iterator[CredentialReach]:
    credential = service.credential
    if credential is None:
        return
    registered = _registered(service, action)
    if registered is None and is_request(action):
        return  # a request that nobody registered goes without it
    uses = uses_of_actions(service)
    use = next((use for use in uses if registered and use.action.pk == registered.pk), None)
    state = use.state if use is not None else GrantState.MISSING
    refused = f"The action '{action}' is to be allowed on the page of the service '{service}'."
    yield CredentialReach(
        "service",
        service.pk,
        service.name,
        service.pk,
        credential,
        f"{action}: {', '.join(sorted(use.calls))}" if use is not None else action,
        state,
        "" if state == GrantState.GRANTED else refused,
    )


def _registered(service: Service, action: str) -> ServiceAction | None:
    rows = list(service.actions.all())
    try:
        request = request_in(action)
    except ValueError:
        return None
    if request is not None:
        return registered_request(rows, *request)
    return next((row for row in rows if row.name == action), None)


def _of_integration(target: CallTarget, _: str) -> Iterator[CredentialReach]:
    row = find_bound(Integration.objects, target.name, key=target.id)
    for use in uses_of_integration(row) if row is not None else ():
        state, note = use.state, ""
        if state != GrantState.GRANTED:
            note = f"The integration '{row}' is to be allowed on its page."
        elif isinstance(use.carrier, Service):
            own = next(_of_action(use.carrier, row.action), None)
            if own is None:
                continue  # a request that nobody registered goes without it
            state, note = own.state, own.note
        call = f"{row.call} of {title_of(use.carrier)}"
        yield CredentialReach(
            "integration", row.pk, row.name, use.carrier.pk, use.credential, call, state, note
        )


_FINDERS = {
    "connection": _of_connection,
    "service": _of_service,
    "service_type": _of_type,
    "integration": _of_integration,
}
