"""Caches the tokens of OAuth2 credentials for one event loop: one fetch serves all who wait."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import Error as DatabaseError
from django.views.decorators.debug import sensitive_variables

from core.cache import BoundedCache
from core.exceptions import VaultError
from core.vault import Secret
from registry.calls.auth.loaded_credential import LoadedCredential
from registry.calls.auth.oauth2 import FetchedToken, read_token, token_request
from registry.calls.auth.signing import secrets_of
from registry.calls.database_threads import DatabaseThreads
from registry.calls.redaction import Mask
from registry.credentials import token_store
from registry.credentials.token_store import Grant, margin_seconds
from registry.exceptions import CallError, CredentialError, TokenUnavailableError

logger = structlog.get_logger(__name__)

FETCH_SECONDS = 10.0
LEASE_SECONDS = FETCH_SECONDS + 5.0
# How long a failure is the answer to all who ask before it is tried again.
REFUSED_PAUSE_SECONDS = 5.0
FAILED_PAUSE_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 0.5
MAX_TOKENS = 1000

PostForm = Callable[
    [str, Mapping[str, str], Mapping[str, str], float], Awaitable[tuple[int, bytes]]
]


@dataclass(frozen=True, slots=True)
class CachedToken:
    """A token that is good until a moment of the loop's clock."""

    token: Secret
    until: float
    fetched_at: datetime | None


class TokenCache:
    """Tokens by credential and version; used on one event loop.

    `post` sends a form: URL, form, headers, seconds.
    """

    def __init__(
        self, threads: DatabaseThreads, post: PostForm, *, clock: Callable[[], float]
    ) -> None:
        self._threads = threads
        self._post = post
        self._clock = clock
        self._tokens: BoundedCache[tuple[str, int], CachedToken] = BoundedCache(MAX_TOKENS)
        self._fetches: dict[tuple[str, int], asyncio.Task[CachedToken]] = {}

    async def get(self, credential: LoadedCredential, *, seconds: float) -> CachedToken:
        """Return a token that holds for a while, waited for at most so many seconds.

        Raises:
            CredentialError: the token server refuses the client.
            TokenUnavailableError: it does not answer, or not in time. Without time it is not asked.
        """
        key = (credential.id, credential.version)
        cached = self._tokens.get(key)
        if cached is not None and cached.until > self._clock():
            return cached
        if seconds <= 0:
            raise _late(credential)
        fetch = self._fetches.get(key)
        if fetch is None:
            fetch = asyncio.create_task(self._obtain(credential))
            self._fetches[key] = fetch
            fetch.add_done_callback(lambda task: self._arrived(key, task))
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(fetch)
        except TimeoutError:
            raise _late(credential) from None

    def _arrived(self, key: tuple[str, int], task: asyncio.Task[CachedToken]) -> None:
        self._fetches.pop(key, None)
        if task.cancelled() or task.exception() is not None:
            return
        self._tokens[key] = task.result()

    async def forget(self, credential: LoadedCredential, cached: CachedToken) -> None:
        """Drop a token that a service refused, here and in the database."""
        self._tokens.pop((credential.id, credential.version), None)
        try:
            await self._threads.run(token_store.forget, credential.id, cached.fetched_at)
        except DatabaseError as error:
            logger.warning("token_not_forgotten", error=str(error)[:300])

    async def close(self) -> None:
        """Stop fetching."""
        for task in list(self._fetches.values()):
            task.cancel()
        await asyncio.gather(*self._fetches.values(), return_exceptions=True)

    @sensitive_variables()
    async def _obtain(self, credential: LoadedCredential) -> CachedToken:
        """Wait until the row has a token, or this is the one to fetch it."""
        owner = uuid.uuid4().hex
        give_up_at = self._clock() + LEASE_SECONDS + FETCH_SECONDS
        pause = FIRST_PAUSE_SECONDS
        while True:
            grant = await self._acquire(credential, owner)
            if grant.is_claimed:
                return await self._fetch_as(credential, owner, grant)
            if grant.token is not None:
                return self._cached(grant)
            if grant.error:
                kind = CredentialError if grant.is_refused else TokenUnavailableError
                raise kind(grant.error, retry_after=grant.retry_after, credential=credential.name)
            if self._clock() + pause >= give_up_at:
                raise _late(credential)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _acquire(self, credential: LoadedCredential, owner: str) -> Grant:
        try:
            return await self._threads.run(
                token_store.acquire, credential.id, credential.version, owner, LEASE_SECONDS
            )
        except DatabaseError:
            raise TokenUnavailableError(
                f"The database does not answer, so there is no token for '{credential.name}'.",
                credential=credential.name,
            ) from None

    @sensitive_variables()
    async def _fetch_as(
        self, credential: LoadedCredential, owner: str, before: Grant
    ) -> CachedToken:
        """Fetch under the claim, and end the claim whatever happens."""
        try:
            fetched = await self._fetch(credential)
            at = await self._threads.run(
                token_store.store, credential.id, owner, credential.version, fetched.token,
                fetched.lifetime_seconds,
            )  # fmt: skip
        except CallError as error:
            await self._failed(credential, owner, error)
            if before.token is None:
                raise
            logger.warning("token_not_renewed", credential=credential.name, error=error.message)
            return CachedToken(before.token, self._clock(), before.fetched_at)
        except (DatabaseError, VaultError) as error:
            logger.warning("token_not_kept", credential=credential.name, error=str(error)[:300])
            at = None
        logger.info("token_fetched", credential=credential.name)
        seconds = fetched.lifetime_seconds
        return CachedToken(fetched.token, self._clock() + seconds - margin_seconds(seconds), at)

    @sensitive_variables()
    async def _fetch(self, credential: LoadedCredential) -> FetchedToken:
        mask = Mask(secrets_of(credential))
        request = token_request(credential)
        try:
            status, body = await self._post(
                request.url, request.form, request.headers, FETCH_SECONDS
            )
        except CallError as error:
            raise TokenUnavailableError(
                f"No token for the credential '{credential.name}': {mask.text(error.message)}",
                credential=credential.name,
            ) from None
        return read_token(credential, status, body, mask.text)

    async def _failed(self, credential: LoadedCredential, owner: str, error: CallError) -> None:
        pause = REFUSED_PAUSE_SECONDS if error.permanent else FAILED_PAUSE_SECONDS

        def record() -> None:
            token_store.fail(
                credential.id, owner, credential.version, error=error.message,
                is_refused=error.permanent, pause=pause,
            )  # fmt: skip

        try:
            await self._threads.run(record)
        except DatabaseError as problem:
            logger.warning("token_failure_not_recorded", error=str(problem)[:300])

    def _cached(self, grant: Grant) -> CachedToken:
        assert grant.token is not None
        fresh = grant.remaining_seconds - margin_seconds(grant.lifetime_seconds)
        return CachedToken(grant.token, self._clock() + fresh, grant.fetched_at)


def _late(credential: LoadedCredential) -> TokenUnavailableError:
    return TokenUnavailableError(
        f"No token for the credential '{credential.name}' in time: the token server is slow, or"
        " another worker is still waiting for it.",
        credential=credential.name,
    )
