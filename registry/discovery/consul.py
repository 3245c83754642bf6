"""Discovery in Consul: services of one agent, each with a check that fails without renewal."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from registry.discovery.http_backend import ERRORS, BackendAPI, read_object
from registry.discovery.lease_json import document_of, lease_of, renewed
from registry.discovery.leases import Lease, LeaseDiscovery, LeaseStore, read_leases

DEFAULT_URL = "http://127.0.0.1:8500"
# What nobody renews for so long is removed by Consul itself.
FORGET_AFTER = "10m"


class ConsulLeases(LeaseStore):
    """Each instance is a service `<prefix>-<instance id>` of the agent, with a TTL check.
    What the check says (its output) holds the status and the time of the beat.
    """

    name = "consul"
    errors = ERRORS

    def __init__(self, url: str, *, prefix: str, token: str = "") -> None:
        headers = {"X-Consul-Token": token} if token else {}
        self._api = BackendAPI(url, headers=headers)
        self._prefix = f"{prefix}-"

    def put(self, lease: Lease) -> None:
        self._api.put("/v1/agent/service/register", self._registration(lease))
        self._update(lease.id, _output(lease))

    def _registration(self, lease: Lease) -> dict[str, Any]:
        parts = urlsplit(lease.url)
        service_id = f"{self._prefix}{lease.id}"
        return {
            "ID": service_id,
            # Names of Consul are also names of its DNS.
            "Name": re.sub(r"[^a-z0-9-]+", "-", lease.name.lower()).strip("-") or "service",
            "Address": parts.hostname or "",
            "Port": parts.port or (443 if parts.scheme == "https" else 80),
            "Meta": {"url": lease.url[:512], "registered_by": self._prefix.rstrip("-")},
            "Check": {
                "CheckID": f"service:{service_id}",
                "TTL": f"{lease.ttl_seconds}s",
                "Status": "passing",
                "DeregisterCriticalServiceAfter": FORGET_AFTER,
            },
        }

    def _update(self, lease_id: str, output: str) -> bool:
        path = f"/v1/agent/check/update/service:{self._prefix}{lease_id}"
        fields = {"Status": "passing", "Output": output}
        return self._api.put(path, fields, absent_is_fine=True)

    def renew(self, leases: Sequence[Lease]) -> Collection[str]:
        held = self._checks() if len(leases) > 1 else self._check(leases[0].id)
        renewals = (
            after
            for lease in leases
            if lease.id in held and (after := renewed(lease, read_object(held[lease.id])))
        )
        return self._api.each(list(renewals), lambda lease: self._update(lease.id, _output(lease)))

    def drop(self, ids: Collection[str]) -> Mapping[str, Lease]:
        # Consul has nothing that reads and ends in one: of a beat between the two the time is lost.
        held = self.live() if len(ids) > 1 else _leases(self._check(*ids))
        for lease_id in ids:
            path = f"/v1/agent/service/deregister/{self._prefix}{lease_id}"
            self._api.put(path, absent_is_fine=True)
        return {lease_id: held[lease_id] for lease_id in ids if lease_id in held}

    def live(self) -> Mapping[str, Lease]:
        return _leases(self._checks())

    def _check(self, lease_id: str) -> dict[str, str]:
        return self._checks(filter=f'CheckID == "service:{self._prefix}{lease_id}"')

    def _checks(self, **query: str) -> dict[str, str]:
        """Return what our passing checks say, by the id of the lease."""
        answers = self._api.get("/v1/agent/checks", **query)
        return {
            check["ServiceID"].removeprefix(self._prefix): check["Output"]
            for check in answers.values()
            if check["ServiceID"].startswith(self._prefix)
            and check["Status"] == "passing"
            and check["Output"].startswith("{")
        }


def _leases(checks: Mapping[str, str]) -> dict[str, Lease]:
    return read_leases(checks.items(), lambda key, text: lease_of(key, read_object(text)))


def _output(lease: Lease) -> str:
    return json.dumps(document_of(lease))


class ConsulDiscovery(LeaseDiscovery):
    """Leases in the Consul agent of SERVICE_DISCOVERY_URL."""

    def __init__(self) -> None:
        url = settings.SERVICE_DISCOVERY_URL or DEFAULT_URL
        prefix = re.sub(r"[^A-Za-z0-9-]+", "-", settings.SERVICE_NAME)
        token = settings.SERVICE_DISCOVERY_TOKEN
        super().__init__(ConsulLeases(url, prefix=prefix, token=token))
