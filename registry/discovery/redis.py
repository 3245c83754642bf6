"""Discovery in Redis: a lease is a key with a time to live."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import redis
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from registry.discovery.leases import (
    BATCH,
    TIMEOUT_SECONDS,
    Lease,
    LeaseDiscovery,
    LeaseStore,
    read_leases,
)

# Renewing is one step, so that no other client's change gets between looking and writing.
RENEW = """
local status = redis.call('HGET', KEYS[1], 'status')
if not status or (status ~= ARGV[1] and status ~= 'MAINTENANCE') then return 0 end
redis.call('HSET', KEYS[1], 'beat_at', ARGV[2], 'ttl', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[3] * 1000)
redis.call('ZADD', KEYS[2], ARGV[2] + ARGV[3], ARGV[4])
return 1
"""


class RedisLeases(LeaseStore):
    """Each lease is a hash that expires; a sorted set by the end of each tells which there are.

    Keys begin with `prefix`. They are `lease:<instance id>` and `leases`.
    """

    name = "redis"
    errors = (redis.RedisError, OSError, ValueError)

    def __init__(self, url: str, *, prefix: str) -> None:
        self._redis = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            health_check_interval=30,
        )
        self._prefix = prefix
        self._index = f"{prefix}leases"
        self._renew = hashlib.sha1(RENEW.encode(), usedforsecurity=False).hexdigest()

    def _key(self, lease_id: str) -> str:
        return f"{self._prefix}lease:{lease_id}"

    def put(self, lease: Lease) -> None:
        self.put_all([lease])

    def put_all(self, leases: Sequence[Lease]) -> None:
        with self._redis.pipeline() as batch:
            for lease in leases:
                self._put(batch, lease)
            batch.execute()

    def _put(self, batch: Any, lease: Lease) -> None:
        fields: dict[Any, Any] = {
            "status": lease.status,
            "beat_at": _seconds(lease),
            "ttl": lease.ttl_seconds,
        }
        batch.delete(self._key(lease.id))
        batch.hset(self._key(lease.id), mapping=fields)
        batch.pexpire(self._key(lease.id), lease.ttl_seconds * 1000)
        batch.zadd(self._index, {lease.id: lease.beat_at.timestamp() + lease.ttl_seconds})

    def renew(self, leases: Sequence[Lease]) -> Collection[str]:
        try:
            answers = self._renew_all(leases)
        except redis.exceptions.NoScriptError:  # it began anew, and did nothing
            self._redis.script_load(RENEW)
            answers = self._renew_all(leases)
        return {lease.id for lease, is_renewed in zip(leases, answers, strict=True) if is_renewed}

    def _renew_all(self, leases: Sequence[Lease]) -> list[Any]:
        with self._redis.pipeline(transaction=False) as batch:
            for lease in leases:
                keys = [self._key(lease.id), self._index]
                fields = [lease.status, _seconds(lease), str(lease.ttl_seconds), lease.id]
                batch.evalsha(self._renew, len(keys), *keys, *fields)
            return list(batch.execute())

    def drop(self, ids: Collection[str]) -> Mapping[str, Lease]:
        with self._redis.pipeline() as batch:
            for lease_id in ids:
                batch.hgetall(self._key(lease_id))
            batch.delete(*(self._key(lease_id) for lease_id in ids))
            batch.zrem(self._index, *ids)
            answers = zip(ids, batch.execute()[: len(ids)], strict=True)
        return read_leases(((key, fields) for key, fields in answers if fields), _lease)

    def live(self) -> Mapping[str, Lease]:
        # The set only tells where to look: what it still names after a day is forgotten there.
        self._redis.zremrangebyscore(self._index, "-inf", datetime.now(UTC).timestamp() - 86400)
        ids: list[str] = self._redis.zrange(self._index, 0, -1)  # type: ignore[assignment]
        leases: dict[str, Lease] = {}
        for start in range(0, len(ids), BATCH):
            some = ids[start : start + BATCH]
            with self._redis.pipeline(transaction=False) as batch:
                for lease_id in some:
                    batch.hgetall(self._key(lease_id))
                answers = zip(some, batch.execute(), strict=True)
            leases |= read_leases(((key, fields) for key, fields in answers if fields), _lease)
        return leases


def _seconds(lease: Lease) -> str:
    return repr(lease.beat_at.timestamp())


def _lease(lease_id: str, fields: Mapping[str, Any]) -> Lease:
    return Lease(
        id=lease_id,
        status=fields["status"],
        beat_at=datetime.fromtimestamp(float(fields["beat_at"]), UTC),
        ttl_seconds=int(fields["ttl"]),
    )


class RedisDiscovery(LeaseDiscovery):
    """Leases in the Redis of SERVICE_DISCOVERY_URL, or else of the broker."""

    def __init__(self) -> None:
        url = settings.SERVICE_DISCOVERY_URL or settings.REDIS_URL
        if not url:
            raise ImproperlyConfigured(
                "SERVICE_DISCOVERY_BACKEND is 'redis', and no Redis is configured."
                " Set REDIS_URL or SERVICE_DISCOVERY_URL."
            )
        super().__init__(RedisLeases(url, prefix=f"{settings.SERVICE_NAME}:discovery:"))
