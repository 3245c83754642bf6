"""Credentials on the way out: loaded, held against the rules, put on requests, and counted.

Whoever calls something with a credential and a URL does it through `Credentials.dress`: a service's
instance, and whatever else has a base URL and names a credential.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from core.cache import BoundedCache
from registry.calls.auth.loaded_credential import LoadedCredential
from registry.calls.auth.signing import RequestStamp, authenticate_request, check_usable, secrets_of
from registry.calls.auth.token_cache import CachedToken, PostForm, TokenCache
from registry.calls.auth.usage_counter import UsageCounter
from registry.calls.database_threads import DatabaseThreads
from registry.calls.network.client_tls import tls_context
from registry.calls.redaction import NO_MASK, Mask
from registry.calls.request import PreparedRequest
from registry.exceptions import CallError, CredentialError
from registry.models import CredentialEventKind, CredentialType

MOST_CONTEXTS = 200


@dataclass(frozen=True, slots=True)
class AuthenticatedRequest:
    """A request as it is sent, and what must be taken out of the answer to it."""

    request: PreparedRequest = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    tls: ssl.SSLContext | None = None
    mask: Mask = NO_MASK
    held: CachedToken | None = None

    def masked(self, error: CallError) -> CallError:
        """The same error without the secrets of this request."""
        details = {name: self.mask.value(value) for name, value in error.details.items()}
        return type(error)(self.mask.text(error.message), **details)


class Authenticator:
    """What one event loop needs to call with credentials: tokens, TLS contexts and counters."""

    def __init__(
        self,
        threads: DatabaseThreads,
        post: PostForm,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime] = timezone.now,
    ) -> None:
        self._threads = threads
        self._now = now
        self._tokens = TokenCache(threads, post, clock=clock)
        self._uses = UsageCounter(threads)
        self._contexts: BoundedCache[tuple[str, int, str], ssl.SSLContext] = BoundedCache(
            MOST_CONTEXTS
        )

    @sensitive_variables()
    async def authenticate_request(
        self,
        credential: LoadedCredential,
        request: PreparedRequest,
        headers: Mapping[str, str],
        *,
        seconds: float,
        actor: str,
        subject: str,
        ca_bundle: str = "",
    ) -> AuthenticatedRequest:
        """The request with the credential, within so many seconds; the use is counted.

        `actor` is who calls and `subject` what is called, for the audit trail; `ca_bundle` is whom
        the connection itself trusts, instead of whom the credential does.

        Raises:
            CredentialError: it may not be sent there, or cannot be used now; nothing was sent.
        """
        try:
            check_usable(credential, request.url, now=self._now())
            held = await self._token(credential, seconds)
            tls = await self._tls(credential, ca_bundle)
        except CredentialError as error:
            if error.permanent:
                self._note(credential, CredentialEventKind.DENIED, actor, subject, error.message)
            raise
        token = held.token if held else None
        moment = RequestStamp.at(self._now().timestamp())
        dressed, added = authenticate_request(credential, request, moment=moment, token=token)
        self._note(credential, CredentialEventKind.USED, actor, subject)
        mask = Mask(secrets_of(credential, token))
        return AuthenticatedRequest(dressed, _merged(headers, added), tls, mask, held)

    async def renew(self, credential: LoadedCredential, outgoing: AuthenticatedRequest) -> bool:
        """Drop the token that was refused with a 401; False when there is none to drop."""
        if outgoing.held is None:
            return False
        await self._tokens.forget(credential, outgoing.held)
        return True

    async def close(self) -> None:
        """Write what was counted."""
        await self._tokens.close()
        await self._uses.close()

    async def _token(self, credential: LoadedCredential, seconds: float) -> CachedToken | None:
        if credential.type != CredentialType.OAUTH2_CLIENT_CREDENTIALS:
            return None
        return await self._tokens.get(credential, seconds=seconds)

    async def _tls(self, credential: LoadedCredential, ca_bundle: str) -> ssl.SSLContext | None:
        if credential.type != CredentialType.CLIENT_CERTIFICATE:
            return None
        key = (credential.id, credential.version, ca_bundle)
        if key not in self._contexts:
            made = await asyncio.to_thread(tls_context, credential, ca_bundle)
            # One context for all, or connections could not be shared.
            self._contexts.setdefault(key, made)
        return self._contexts[key]

    def _note(
        self, credential: LoadedCredential, kind: str, actor: str, subject: str, detail: str = ""
    ) -> None:
        self._uses.note(credential, kind, actor=actor, subject=subject, detail=detail)


def _merged(headers: Mapping[str, str], added: Mapping[str, str]) -> dict[str, Any]:
    names = {name.lower() for name in added}
    return {**{k: v for k, v in headers.items() if k.lower() not in names}, **added}
