"""Links services and connections to credentials, which takes a permission of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied

from core.exceptions import UseDenied, ValidationFailed
from registry.credentials.audit import deny, record
from registry.credentials.references import title_of
from registry.models import Connection, Credential, CredentialEventKind, Service


class CredentialUseDenied(UseDenied):
    """The caller may not let this use the credential, or stop it, or change where it goes."""

    def __init__(self, credential: Credential, *, subject: str, actor: str, doing: str) -> None:
        super().__init__(
            f"{doing} the credential '{credential.name}' needs the scope credentials:use."
        )
        self.credential = credential
        self.subject = subject
        self.actor = actor
        self.doing = doing


Carrier = Service | Connection


@dataclass(frozen=True)
class Link:
    """The credential that something shall carry, by id or name: None as it is, empty for none."""

    reference: str | None
    actor: str
    is_allowed: bool
    # Whether what calls the row already may use the credential.
    grants_users: bool = False

    def apply(self, carrier: Carrier) -> None:
        """Link a row, which is not saved, and note it in the audit trail.

        Raises:
            CredentialUseDenied: it differs from what is linked, and is not allowed.
            ValidationFailed: there is no such credential.
        """
        if self.reference is None:
            return
        before, wanted = carrier.credential, self._find()
        if before == wanted:
            return
        if not self.is_allowed:
            concerned = wanted or before
            assert concerned is not None
            raise self._denied(concerned, carrier, "Linking")
        carrier.credential = wanted
        note_link(carrier, before=before, after=wanted, actor=self.actor)

    def redirect(self, carrier: Carrier) -> None:
        """Allow a change of where a row's credential goes, or of how well it is kept on the way.

        Raises:
            CredentialUseDenied: that is not allowed.
        """
        if carrier.credential is not None and not self.is_allowed:
            raise self._denied(carrier.credential, carrier, "Redirecting")

    def _denied(self, credential: Credential, carrier: Carrier, doing: str) -> UseDenied:
        return CredentialUseDenied(
            credential, subject=title_of(carrier), actor=self.actor, doing=doing
        )

    def _find(self) -> Credential | None:
        if not self.reference:
            return None
        credential = Credential.objects.find(self.reference)
        if credential is None:
            # Who may not use credentials learns no names of them.
            if not self.is_allowed:
                raise PermissionDenied("Linking a credential needs the scope credentials:use.")
            sentence = f"No credential with the id or name '{self.reference[:100]}'."
            raise ValidationFailed.at("credential", sentence)
        return credential


def note_link(
    carrier: Carrier,
    *,
    before: Credential | None,
    after: Credential | None = None,
    actor: str,
) -> None:
    """Note in the trails of both credentials that something went from one to the other."""
    if before is not None:
        record(before, CredentialEventKind.UNLINKED, actor=actor, subject=title_of(carrier))
    if after is not None:
        record(after, CredentialEventKind.LINKED, actor=actor, subject=title_of(carrier))


@contextlib.contextmanager
def noting_denials() -> Iterator[None]:
    """Keep a refusal in the audit trail though the transaction within is rolled back."""
    try:
        yield
    except CredentialUseDenied as error:
        deny(
            error.credential,
            actor=error.actor,
            subject=error.subject,
            detail=f"{error.doing} needs the scope credentials:use.",
        )
        raise
