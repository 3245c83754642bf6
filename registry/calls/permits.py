"""Says whether a call may use the credential of what it calls, and what to ask for if it may not.

A call goes out when everything that says what is sent was granted: the action of a service for what
it is called at, and before that whoever calls, by its `Permit`: the step of a workflow, the
integration. A caller without one is a person or a program that may call actions as they are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from registry.calls.targets.resolver import ResolvedAction
from registry.exceptions import CredentialNotGrantedError
from registry.policies.credential_grants import are_among, call_at


class CredentialedCall(NamedTuple):
    """A call that is about to be made with a credential.

    `kind`, `id` and `name` are of what was asked for: a service, a connection, an integration.
    """

    kind: str
    id: str
    name: str
    action: str
    credential_id: str
    credential_name: str


# Refuses, as `CredentialNotGrantedError`, what was not granted.
Permit = Callable[[CredentialedCall], Awaitable[None]]


def use_of(action: ResolvedAction) -> CredentialedCall:
    """Return the use of a credential that calling an action is, if it has one."""
    credential = action.credential
    assert credential is not None
    return CredentialedCall(
        action.kind,
        action.subject_id,
        action.service,
        action.action,
        credential.id,
        credential.name,
    )


def not_granted(use: CredentialedCall, *, subject: str, where: str) -> CredentialNotGrantedError:
    """Return the refusal of a use, with whom to ask for it, and where."""
    return CredentialNotGrantedError(
        f"{subject} may not use the credential '{use.credential_name}': nobody allowed it, or what"
        f" it sends has changed since. Nothing was sent. Ask someone with credentials:use to allow"
        f" it: {where}.",
        service=use.name,
        action=use.action,
        credential=use.credential_name,
    )


def check_granted(action: ResolvedAction, url: str) -> None:
    """Refuse to call an instance at this URL with a credential as was not granted to the action.

    Raises:
        CredentialNotGrantedError: with what would have been sent.
    """
    if action.granted is None:
        return
    asked = call_at(url, method=action.method, path=action.path)
    if not are_among({asked}, action.granted):
        raise not_granted(
            use_of(action),
            subject=f"{action.title}, which is {asked},",
            where=f'"Allow" on the page of the service, or POST /registry/services/'
            f"{action.service}/grants",
        )
