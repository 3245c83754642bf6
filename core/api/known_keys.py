"""API keys that callers gave lately: each is looked up at most once a second.

A changed, revoked or deleted key is heard of at once, in every process (see `core.news`); where
that is lost, what is remembered holds for two seconds at most. Ends are held against the clock with
every request.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from math import inf
from typing import Any

import structlog
from django.db import Error, connection, transaction
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed

from core.api.caller import Caller
from core.cache import BoundedCache
from core.db.rows import among, read_rows
from core.models import ApiKey
from core.models.api_key import digest_of, split_key
from core.models.audit import ActorKind
from core.news import NewsItem, own_news
from core.request_rates.counter import RATE_DECISION, admit_key

logger = structlog.get_logger(__name__)

NEWS = "api_keys"
LAST_USED_PRECISION = timedelta(minutes=1)
# After the first it is looked up again, and meanwhile serves the event loop until the second.
LOOK_SECONDS, LONGEST_SECONDS = 1.0, 2.0
MOST_KEYS, MOST_UNKNOWN = 10_000, 10_000
# So many are looked up at once for the event loop; beyond, requests find theirs themselves.
MOST_AWAITED = 64
UNKNOWN = "This API key is not known, was revoked or has expired."

# Returns those of the keys that there are, by their texts.
LookUp = Callable[[Collection[str]], Mapping[str, ApiKey]]


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key, which nobody may change here, and the caller that it makes."""

    key: ApiKey
    caller: Caller
    read_at: float


class KnownKeys:
    """The keys that this process was given lately, by a keyed digest of their text.

    Which digest is remembered tells nothing of the text, also by the time that comparing it takes.
    Unknown keys are remembered apart, so that many of them drive out no known one. `look_up` asks
    the database for keys by their texts, `clock` gives monotonic seconds. Threads may share it.
    """

    def __init__(self, look_up: LookUp, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up
        self._clock = clock
        self._pepper = secrets.token_bytes(32)
        self._known: BoundedCache[bytes, KnownKey] = BoundedCache(MOST_KEYS)
        self._unknown: BoundedCache[bytes, float] = BoundedCache(MOST_UNKNOWN)
        self._refreshing: set[bytes] = set()
        self._awaited: dict[bytes, Future[None]] = {}
        # What the thread looks up next, all at once.
        self._queued: dict[bytes, str] = {}
        self._queue_lock = threading.Lock()
        self._changes = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="api-keys")

    def find(self, text: str, address: str) -> KnownKey:
        """Return the key with this text, for a client at this address; may ask the database.

        Raises:
            AuthenticationFailed: there is none that may be used from there now.
        """
        digest, now = self._digest_of(text), self._clock()
        known = self._known.get(digest)
        if known is not None and self._serves(digest, now - known.read_at):
            return _usable(known, address)
        if now < self._unknown.get(digest, -inf) + LOOK_SECONDS:
            raise AuthenticationFailed(UNKNOWN)
        self._refreshing.add(digest)
        try:
            known = self._read({digest: text}).get(digest)
        finally:
            self._refreshing.discard(digest)
        if known is None:
            raise AuthenticationFailed(UNKNOWN)
        _usable(known, address)
        _note_use(known.key)
        return known

    def recall(self, headers: Mapping[str, str], address: str) -> KnownKey | None:
        """Return the key that a request carries if it is remembered and may be used now.

        For event loops: asks nobody, and has what becomes old looked up by a thread. None says that
        it has to be found. `headers` are by name in lower case, `address` is the client's.
        """
        text = key_in(headers)
        if text is None:
            return None
        digest, now = self._digest_of(text), self._clock()
        known = self._known.get(digest)
        if known is None or now >= known.read_at + LONGEST_SECONDS:
            return None
        if now >= known.read_at + LOOK_SECONDS and digest not in self._refreshing:
            self._refresh_soon(digest, text)
        if not known.key.is_usable(now=timezone.now()):
            return None
        return known if known.key.allows_address(address) else None

    def look_up_soon(self, headers: Mapping[str, str]) -> Future[None] | None:
        """Return what is done once a thread has looked up the key of a request, for `recall` then.

        None where that would tell nothing new, or too many are looked up already.
        """
        text = key_in(headers)
        if text is None:
            return None
        digest, now = self._digest_of(text), self._clock()
        known = self._known.get(digest)
        if known is not None and now < known.read_at + LONGEST_SECONDS:
            return None
        if now < self._unknown.get(digest, -inf) + LOOK_SECONDS:
            return None
        if digest not in self._awaited and len(self._awaited) < MOST_AWAITED:
            future = self._awaited[digest] = Future()
            self._refresh_soon(digest, text)
            return future
        return self._awaited.get(digest)

    def _serves(self, digest: bytes, seconds: float) -> bool:
        """Return whether a key of that age serves; an older one does while it is looked up."""
        longest = LONGEST_SECONDS if digest in self._refreshing else LOOK_SECONDS
        return seconds < longest

    def forget(self, _: NewsItem | None = None) -> None:
        """Look every key up again; also those that are being looked up right now."""
        self._changes += 1
        self._known.clear()
        self._unknown.clear()

    def close(self) -> None:
        """End the thread that looks keys up ahead."""
        self._thread.shutdown(cancel_futures=True)
        self._tell_awaited(list(self._awaited))

    def _digest_of(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode(), key=self._pepper, digest_size=16).digest()

    def _read(self, texts: Mapping[bytes, str]) -> dict[bytes, KnownKey]:
        """Ask for keys by their texts and remember what is answered."""
        changes, now = self._changes, self._clock()
        keys = self._look_up(texts.values())
        known = {
            digest: KnownKey(key, _caller_of(key), now)
            for digest, text in texts.items()
            if (key := keys.get(text)) is not None
        }
        if self._changes == changes:
            for digest in texts:
                self._remember(digest, known.get(digest), now)
        return known

    def _remember(self, digest: bytes, known: KnownKey | None, now: float) -> None:
        if known is None:
            self._unknown[digest] = now
            self._known.pop(digest, None)
        else:
            self._known[digest] = known

    def _refresh_soon(self, digest: bytes, text: str) -> None:
        """Have a thread look up a key, with all that it is asked for until it gets to it.

        Each by itself would wait for the interpreter several times, while a loop is busy: of many
        keys some became too old meanwhile.
        """
        self._refreshing.add(digest)
        with self._queue_lock:
            is_first = not self._queued
            self._queued[digest] = text
        if is_first:
            self._thread.submit(self._refresh)

    def _refresh(self) -> None:
        with self._queue_lock:
            texts, self._queued = self._queued, {}
        try:
            for known in self._read(texts).values():
                _note_use(known.key)
        except Error as error:
            # They are remembered until they are too old; then a request meets the error itself.
            logger.warning("keys_not_refreshed", keys=len(texts), error=str(error)[:300])
        finally:
            self._refreshing.difference_update(texts)
            self._tell_awaited(texts)
            connection.close()  # gives it back to the pool

    def _tell_awaited(self, digests: Iterable[bytes]) -> None:
        for digest in digests:
            if (future := self._awaited.pop(digest, None)) is not None:
                future.set_result(None)


def given_key(authorization: str, x_api_key: str | None) -> str | None:
    """Return the key in `Authorization: Bearer <key>`, else that of `X-API-Key`."""
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else x_api_key


def key_in(headers: Mapping[str, str]) -> str | None:
    """Return the key that a request carries; its headers are by name in lower case."""
    return given_key(headers.get("authorization", ""), headers.get("x-api-key"))


def hold_to_rate(environ: dict[str, Any], known: KnownKey) -> bool:
    """Count a request against the limit of its key; return whether it is within that.

    What was decided goes into the environ, so that Django neither counts it again nor leaves it
    untold.
    """
    decision = admit_key(known.caller.id, known.key.requests_per_minute)
    if decision is None:
        return True
    environ[RATE_DECISION] = decision
    return decision.allowed


def _usable(known: KnownKey, address: str) -> KnownKey:
    if not known.key.is_usable(now=timezone.now()):
        raise AuthenticationFailed(UNKNOWN)
    if not known.key.allows_address(address):
        raise AuthenticationFailed("This API key may not be used from this address.")
    return known


def _caller_of(key: ApiKey) -> Caller:
    return Caller(
        key.name,
        key.effective_scopes(),
        ActorKind.API_KEY,
        str(key.pk),
        service_names=tuple(key.service_names),
        service_types=tuple(key.service_types),
    )


def _note_use(key: ApiKey) -> None:
    now = timezone.now()
    if key.last_used_at is None or key.last_used_at < now - LAST_USED_PRECISION:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)


def read_keys(texts: Collection[str]) -> dict[str, ApiKey]:
    """Return the keys with these texts from the database, in one query.

    Their digests are compared in constant time.
    """
    secrets_of = {
        text: parts for text in texts if (parts := split_key(text)) and "\x00" not in text
    }
    if not secrets_of:
        return {}
    prefixes = sorted({prefix for prefix, _ in secrets_of.values()})
    condition, params = among("prefix", prefixes, "text[]")
    by_prefix = {key.prefix: key for key in read_rows(ApiKey, f"WHERE {condition}", params)}
    return {
        text: key
        for text, (prefix, secret) in secrets_of.items()
        if (key := by_prefix.get(prefix)) and hmac.compare_digest(key.digest, digest_of(secret))
    }


@cache
def known_keys() -> KnownKeys:
    """Return the keys that this process knows."""
    keys = KnownKeys(read_keys)
    own_news().hear(NEWS, keys.forget)
    return keys


def tell_changed(**_: Any) -> None:
    """Forget what is known of keys now, and in every process once the change is committed."""
    known_keys().forget()
    transaction.on_commit(lambda: own_news().tell(NEWS))
