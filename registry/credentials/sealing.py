"""Seals secrets into the envelope of their row, and opens it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from django.views.decorators.debug import sensitive_variables

from core.exceptions import VaultError
from core.vault import Secret, fingerprint, get_key_ring, seal, unseal
from registry.models import Credential
from registry.models.credential import SealedModel


@sensitive_variables()
def hold_parts(row: SealedModel, parts: Mapping[str, Secret]) -> str:
    """Seal secret parts into a row, which is not saved; return the text that was sealed.

    Raises:
        VaultError: there is no key to seal them with.
    """
    text = json.dumps({name: value.reveal() for name, value in parts.items()}, sort_keys=True)
    row.hold(seal(Secret(text), row.place, get_key_ring()))
    return text


@sensitive_variables()
def open_parts(row: SealedModel) -> dict[str, Secret]:
    """Return the secret parts that are sealed into a row.

    Raises:
        VaultError: they cannot be decrypted.
    """
    plain = json.loads(unseal(row.sealed, row.place, get_key_ring()).reveal())
    return {name: Secret(value) for name, value in plain.items()}


@sensitive_variables()
def hold_secret(credential: Credential, secret: Mapping[str, Secret]) -> None:
    """Seal secret fields into a credential; the row is not saved.

    Raises:
        VaultError: there is no key to seal them with.
    """
    text = hold_parts(credential, secret)
    ring = get_key_ring()
    credential.fingerprint = fingerprint(text, ring=ring, context=str(credential.pk))


@sensitive_variables()
def open_secret(credential: Credential) -> dict[str, Secret]:
    """Return the secret fields of a credential.

    Raises:
        VaultError: there are none, or they cannot be decrypted.
    """
    if not credential.has_secret:
        raise VaultError(f"The credential '{credential.name}' has no secret yet. Set one.")
    return open_parts(credential)
