"""Authenticates requests: checks a credential against its rules, adds it, and counts its use.

Whatever has a base URL and names a credential is called through `Authenticator.authenticate`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import datetime

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from core.cache import BoundedCache
from registry.calls.auth.client_tls import tls_context
from registry.calls.auth.loaded_credential import LoadedCredential
from registry.calls.auth.signing import RequestStamp, authenticate_request, check_usable, secrets_of
from registry.calls.auth.token_cache import CachedToken, PostForm, TokenCache
from registry.calls.auth.usage_counter import UsageCounter
from registry.calls.database_threads import DatabaseThreads
from registry.calls.redaction import Mask
from registry.calls.request import OutboundRequest
from registry.exceptions import CallError, CredentialError
from registry.models import CredentialEventKind, CredentialType

MOST_CONTEXTS = 200


class Authenticator:
    """The tokens, TLS contexts and usage counters of the calls of one event loop."""

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
    async def authenticate(
        self,
        credential: LoadedCredential,
        request: OutboundRequest,
        *,
        seconds: float,
        actor: str,
        subject: str,
        ca_bundle: str = "",
    ) -> OutboundRequest:
        """Return the request with the credential, within so many seconds, and count the use.

        `actor` is who calls and `subject` what is called, for the audit trail; `ca_bundle` is whom
        the connection itself trusts, instead of whom the credential does.

        Raises:
            CredentialError: it may not be sent there, or cannot be used now; nothing was sent.
        """
        try:
            check_usable(credential, request.url, now=self._now())
            cached = await self._token(credential, seconds)
            tls = await self._tls(credential, ca_bundle)
        except CredentialError as error:
            if error.permanent:
                self.note_denied(credential, error, actor=actor, subject=subject)
            raise
        token = cached.token if cached else None
        stamp = RequestStamp.at(self._now().timestamp())
        authenticated = authenticate_request(credential, request, stamp=stamp, token=token)
        self._uses.count(credential, CredentialEventKind.USED, actor=actor, subject=subject)
        mask = Mask(secrets_of(credential, token))
        return authenticated._replace(tls=tls, mask=mask, token=cached)

    def note_denied(
        self, credential: LoadedCredential, error: CallError, *, actor: str, subject: str
    ) -> None:
        """Count that somebody was refused a use of a credential."""
        self._uses.count(
            credential, CredentialEventKind.DENIED, actor=actor, subject=subject,
            detail=error.message,
        )  # fmt: skip

    async def renew_token(self, credential: LoadedCredential, request: OutboundRequest) -> bool:
        """Drop the token that was refused with a 401; False when there is none to drop."""
        if request.token is None:
            return False
        await self._tokens.forget(credential, request.token)
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
            context = await asyncio.to_thread(tls_context, credential, ca_bundle)
            # One context for all, or connections could not be shared.
            self._contexts.setdefault(key, context)
        return self._contexts[key]
