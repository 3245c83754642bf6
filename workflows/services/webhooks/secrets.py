"""Finds whose secret a message is signed with: the present credential's or the old one's."""

from __future__ import annotations

from datetime import datetime

from django.views.decorators.debug import sensitive_variables

from core.exceptions import VaultError
from registry.credentials.sealing import open_secret
from registry.models import Credential
from workflows.models import Webhook
from workflows.webhooks.signature import (
    Message,
    MessageRefused,
    is_signed_with,
    refusal_of_signature,
)


@sensitive_variables()
def find_signer(webhook: Webhook, message: Message, *, now: datetime) -> Credential:
    """Return the credential whose secret the message is signed with.

    Raises:
        MessageRefused: there is none, or it has ended.
        VaultError: there is none, and a secret cannot be read.
    """
    signers: list[Credential] = []
    unreadable: VaultError | None = None
    for credential in webhook.credentials:
        try:
            if is_signed_with(message, open_secret(credential)["key"]):
                signers.append(credential)
        except VaultError as error:
            unreadable = error
        except ValueError as error:
            sentence = f"The key of the credential '{credential.name}' cannot be used. {error}"
            unreadable = VaultError(sentence)
    if not signers:
        raise unreadable or refusal_of_signature()
    usable = [row for row in signers if row.expires_at is None or row.expires_at > now]
    if not usable:
        raise MessageRefused(
            "The secret that it is signed with has ended. Sign with the new one.",
            reason="expired_secret",
        )
    return usable[0]
