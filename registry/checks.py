"""Checks of the configuration, run before anything else is."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from core.exceptions import VaultError
from core.vault import get_key_ring


@register()
def check_credential_keys(**_: Any) -> list[CheckMessage]:
    """CREDENTIAL_KEYS can be read, if it is set."""
    if not settings.CREDENTIAL_KEYS:
        return []
    try:
        get_key_ring()
    except VaultError as error:
        return [Error(error.message, id="registry.E001")]
    return []


@register(deploy=True)
def check_credential_keys_are_set(**_: Any) -> list[CheckMessage]:
    """Production has keys of its own."""
    if settings.CREDENTIAL_KEYS:
        return []
    sentence = "CREDENTIAL_KEYS is not set: no credential can be stored or used."
    return [Warning(sentence, id="registry.W001")]
