"""Asks, before a step's call uses a credential, whether its version was granted that."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import DatabaseError

from registry.calls.permits import CredentialedCall, Permit, not_granted
from registry.exceptions import CredentialNotGrantedError, RegistryUnreachableError
from workflows.definition.step_paths import is_compensation
from workflows.definition_cache import version_with_id
from workflows.engine.store import Claim
from workflows.grant_cache import GrantedCall, Grants, cached_grants, read_grants


def permit_of(client: Any, claim: Claim) -> Permit:
    """Return what is asked before the call of a claimed step uses a credential.

    Only then the grants of its version are read, unless they are at hand.
    """

    async def permit(call: CredentialedCall) -> None:
        compensates = is_compensation(claim.row.path)
        wanted = GrantedCall(
            claim.row.step_id, compensates, UUID(call.id), UUID(call.credential_id)
        )
        if wanted not in await _grants_of(client, claim):
            version = await client.in_database(version_with_id, claim.version_id)
            number = version.number if version is not None else "{number}"
            raise _refusal(claim, call, number=number, compensates=compensates)

    return permit


async def _grants_of(client: Any, claim: Claim) -> Grants:
    cached = cached_grants(claim.version_id)
    if cached is not None:
        return cached
    try:
        grants: Grants = await client.in_database(read_grants, claim.version_id)
    except DatabaseError as error:
        sentence = "The hub's own database did not say what the version was granted."
        raise RegistryUnreachableError(sentence) from error
    return grants


def _refusal(
    claim: Claim, call: CredentialedCall, *, number: int | str, compensates: bool
) -> CredentialNotGrantedError:
    workflow = claim.execution.workflow
    what = "The compensation of the step" if compensates else "The step"
    return not_granted(
        call,
        subject=f"{what} '{claim.row.step_id}' of the workflow '{workflow}', which calls"
        f" {call.action or 'the address'} of the {call.kind} '{call.name}',",
        where=f'"Allow" on the page of version {number}, or POST /workflows/{workflow}/versions/'
        f"{number}/grants",
    )
