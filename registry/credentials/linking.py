"""Which service carries which credential: a change of that takes its own permission."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied

from registry.credentials.audit import deny, record
from registry.exceptions import ValidationFailed
from registry.models import Credential, CredentialEventKind, Service


class UseDenied(PermissionDenied):
    """The caller may not let a service use this credential, or stop it."""

    def __init__(self, credential: Credential, *, service: str, actor: str) -> None:
        super().__init__(
            f"Linking the credential '{credential.name}' needs the scope credentials:use."
        )
        self.credential = credential
        self.service = service
        self.actor = actor


@dataclass(frozen=True)
class Link:
    """The credential that a service shall carry, by id or name: None as it is, empty for none."""

    reference: str | None
    actor: str
    is_allowed: bool

    def apply(self, service: Service) -> None:
        """Link the service, which is not saved, and note it in the audit trail.

        Raises:
            UseDenied: it differs from what is linked, and is not allowed.
            ValidationFailed: there is no such credential.
        """
        if self.reference is None:
            return
        before, wanted = service.credential, self._find()
        if before == wanted:
            return
        if not self.is_allowed:
            concerned = wanted or before
            assert concerned is not None
            raise UseDenied(concerned, service=service.name, actor=self.actor)
        service.credential = wanted
        note_link(service, before=before, after=wanted, actor=self.actor)

    def _find(self) -> Credential | None:
        if not self.reference:
            return None
        found = Credential.objects.find(self.reference)
        if found is None:
            # Who may not use credentials learns no names of them.
            if not self.is_allowed:
                raise PermissionDenied("Linking a credential needs the scope credentials:use.")
            sentence = f"No credential with the id or name '{self.reference[:100]}'."
            raise ValidationFailed(f"credential: {sentence}", errors={"credential": [sentence]})
        return found


def note_link(
    service: Service,
    *,
    before: Credential | None,
    after: Credential | None = None,
    actor: str,
) -> None:
    """Note in the trails of both credentials that a service went from one to the other."""
    if before is not None:
        record(before, CredentialEventKind.UNLINKED, actor=actor, subject=service.name)
    if after is not None:
        record(after, CredentialEventKind.LINKED, actor=actor, subject=service.name)


@contextlib.contextmanager
def noting_denials() -> Iterator[None]:
    """Keep a refusal in the audit trail though the transaction within is rolled back."""
    try:
        yield
    except UseDenied as error:
        deny(
            error.credential,
            actor=error.actor,
            subject=error.service,
            detail="Linking needs the scope credentials:use.",
        )
        raise
