"""Discovery in etcd, version 3: keys that end with their leases, over its JSON gateway."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.conf import settings

from registry.discovery.http_backend import ERRORS, BackendAPI, read_object
from registry.discovery.lease_json import document_of, lease_of, renewed
from registry.discovery.leases import BATCH, Lease, LeaseDiscovery, LeaseStore, read_leases

DEFAULT_URL = "http://127.0.0.1:2379"


class EtcdLeases(LeaseStore):
    """Each instance is a key below `<prefix>lease/` that is attached to an etcd lease."""

    name = "etcd"
    errors = ERRORS

    def __init__(self, url: str, *, prefix: str) -> None:
        self._api = BackendAPI(url)
        self._leases = f"{prefix}lease/"

    def _key(self, lease_id: str) -> str:
        return _text(f"{self._leases}{lease_id}")

    def put(self, lease: Lease) -> None:
        before = self._read(lease.id)
        granted = self._api.post("/v3/lease/grant", {"TTL": lease.ttl_seconds})["ID"]
        pair = {"key": self._key(lease.id), "value": _value(lease), "lease": granted}
        self._api.post("/v3/kv/put", pair)
        if before:
            # The key has left it, so ending it takes nothing along.
            self._revoke(before)

    def renew(self, leases: Sequence[Lease]) -> Collection[str]:
        return self._api.each(leases, self._renew_one)

    def _renew_one(self, lease: Lease) -> bool:
        held = self._read(lease.id)
        if held is None:
            return False
        after = renewed(lease, _document(held))
        # Written only over what was read, and only while its lease lives.
        if after is None or not self._write_over(held, _value(after)):
            return False
        answer = self._api.post("/v3/lease/keepalive", {"ID": held["lease"]})
        return int(answer["result"].get("TTL", 0)) > 0

    def _write_over(self, held: Mapping[str, Any], value: str) -> bool:
        key = held["key"]
        as_read = {"key": key, "target": "MOD", "mod_revision": held["mod_revision"]}
        put = {"key": key, "value": value, "lease": held["lease"]}
        answer = self._api.post(
            "/v3/kv/txn", {"compare": [as_read], "success": [{"request_put": put}]}
        )
        return bool(answer.get("succeeded"))

    def drop(self, ids: Collection[str]) -> Mapping[str, Lease]:
        ended: dict[str, Lease] = {}
        for lease_id in ids:
            asked = {"key": self._key(lease_id), "prev_kv": True}
            for held in self._api.post("/v3/kv/deleterange", asked).get("prev_kvs", []):
                ended |= read_leases([(lease_id, held)], _lease)
                self._revoke(held)
        return ended

    def _revoke(self, held: Mapping[str, Any]) -> None:
        answer = self._api.client.post("/v3/lease/revoke", json={"ID": held.get("lease", "0")})
        if answer.status_code >= 500:
            answer.raise_for_status()  # below, it had ended already

    def _read(self, lease_id: str) -> dict[str, Any] | None:
        pairs = self._api.post("/v3/kv/range", {"key": self._key(lease_id)}).get("kvs", [])
        return pairs[0] if pairs else None

    def live(self) -> Mapping[str, Lease]:
        leases: dict[str, Lease] = {}
        # The end of a prefix is the prefix with its last byte raised by one: "/" becomes "0".
        start, end = _text(self._leases), _text(f"{self._leases[:-1]}0")
        while True:
            page = self._api.post(
                "/v3/kv/range", {"key": start, "range_end": end, "limit": str(BATCH)}
            )
            pairs = page.get("kvs", [])
            keys = [b64decode(pair["key"]) for pair in pairs]
            ids = [key.decode(errors="replace").removeprefix(self._leases) for key in keys]
            leases |= read_leases(zip(ids, pairs, strict=True), _lease)
            if not page.get("more"):
                return leases
            start = b64encode(keys[-1] + b"\x00").decode()


def _document(pair: Mapping[str, Any]) -> dict[str, Any]:
    return read_object(b64decode(pair["value"]))


def _lease(lease_id: str, pair: Mapping[str, Any]) -> Lease:
    return lease_of(lease_id, _document(pair))


def _text(text: str) -> str:
    return b64encode(text.encode()).decode()


def _value(lease: Lease) -> str:
    # With name and URL, for those who read the keys without this hub.
    return _text(json.dumps({**document_of(lease), "name": lease.name, "url": lease.url}))


class EtcdDiscovery(LeaseDiscovery):
    """Leases in the etcd of SERVICE_DISCOVERY_URL."""

    def __init__(self) -> None:
        url = settings.SERVICE_DISCOVERY_URL or DEFAULT_URL
        super().__init__(EtcdLeases(url, prefix=f"/{settings.SERVICE_NAME}/discovery/"))
