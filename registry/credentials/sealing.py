"""Seals the secret fields of a credential into its envelope, and opens it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from django.views.decorators.debug import sensitive_variables

from core.exceptions import VaultError
from core.vault import Secret, fingerprint, get_key_ring, seal, unseal
from registry.models import Credential


@sensitive_variables()
def hold_secret(credential: Credential, secret: Mapping[str, Secret]) -> None:
    """Seal secret fields into a credential; the row is not saved.

    Raises:
        VaultError: there is no key to seal them with.
    """
    plain = {name: value.reveal() for name, value in secret.items()}
    text = json.dumps(plain, sort_keys=True)
    ring = get_key_ring()
    credential.hold(seal(Secret(text), credential.place, ring))
    credential.fingerprint = fingerprint(text, ring=ring, context=str(credential.pk))


@sensitive_variables()
def open_secret(credential: Credential) -> dict[str, Secret]:
    """Return the secret fields of a credential.

    Raises:
        VaultError: there are none, or they cannot be decrypted.
    """
    if not credential.has_secret:
        raise VaultError(f"The credential '{credential.name}' has no secret yet. Set one.")
    plain = json.loads(unseal(credential.sealed, credential.place, get_key_ring()).reveal())
    return {name: Secret(value) for name, value in plain.items()}
