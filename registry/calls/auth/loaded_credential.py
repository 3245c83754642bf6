"""Loads a credential and decrypts its secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.views.decorators.debug import sensitive_variables

from core.exceptions import VaultError
from core.vault import Secret
from registry.credentials.sealing import open_secret
from registry.models import Credential


@dataclass(frozen=True, slots=True)
class LoadedCredential:
    """A credential ready for use; with a `problem` it says why it cannot be used."""

    id: str
    name: str
    type: str
    version: int
    attributes: Mapping[str, Any]
    origins: frozenset[str]
    expires_at: datetime | None = None
    secret: Mapping[str, Secret] = field(default_factory=dict)
    problem: str = ""


@sensitive_variables()
def load_credential(credential: Credential) -> LoadedCredential:
    """Return a credential ready for use; what is wrong with it is raised when it is used."""
    secret, problem = {}, ""
    try:
        secret = open_secret(credential)
    except VaultError as error:
        problem = error.message
    return LoadedCredential(
        id=str(credential.pk),
        name=credential.name,
        type=credential.type,
        version=credential.version,
        attributes=credential.attributes,
        origins=frozenset(credential.allowed_origins),
        expires_at=credential.expires_at,
        secret=secret,
        problem=problem,
    )
