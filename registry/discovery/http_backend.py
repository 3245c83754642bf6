"""JSON requests to a discovery backend: short timeouts, one pool of connections per process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2

from core.json import strict
from registry.discovery.leases import TIMEOUT_SECONDS, Lease

# These backends take one request for each lease.
AT_ONCE = 16
# What is no answer: nothing arrived, or not what the interface promises.
ERRORS = (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, KeyError, TypeError)


def read_object(text: bytes | str) -> dict[str, Any]:
    """Return the JSON object that a backend holds. Raises: ValueError, as of ERRORS."""
    document = strict.parse(text)
    if not isinstance(document, dict):
        raise ValueError("The backend holds JSON that is no object.")
    return document


def _drop_after_head(response: httpx2.Response) -> None:
    """End the connection of an answer that ends with its head (RFC 9112, 6.3).

    What a peer sends behind it all the same must not be taken for the next answer.
    """
    if response.status_code in (204, 304):
        response.extensions["network_stream"].close()


class BackendAPI:
    """An HTTP interface that an operator configured; it is no service, so no policy is asked."""

    def __init__(self, url: str, *, headers: Mapping[str, str] | None = None) -> None:
        self.client = httpx2.Client(
            base_url=url.rstrip("/"),
            headers=dict(headers or {}),
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
            limits=httpx2.Limits(max_connections=64, max_keepalive_connections=16),
            event_hooks={"response": [_drop_after_head]},
        )

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a POST. Raises one of ERRORS."""
        answer = self.client.post(path, json=body)
        answer.raise_for_status()
        return read_object(answer.content)

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """The answer to a GET, an empty one for 404. Raises one of ERRORS."""
        answer = self.client.get(path, params=query)
        if answer.status_code == 404:
            return {}
        answer.raise_for_status()
        return read_object(answer.content)

    def put(self, path: str, body: Any = None, *, absent_is_fine: bool = False) -> bool:
        """PUT, and whether what it is about is there. Raises one of ERRORS."""
        answer = self.client.put(path, json=body)
        if answer.status_code == 404 and absent_is_fine:
            return False
        answer.raise_for_status()
        return True

    def each(self, leases: Sequence[Lease], ask: Callable[[Lease], bool]) -> set[str]:
        """Ask about leases, some at a time; return the ids of those that the answer is true of.

        Raises one of ERRORS: some may have been asked about.
        """
        if len(leases) < 2:
            return {lease.id for lease in leases if ask(lease)}
        with ThreadPoolExecutor(min(AT_ONCE, len(leases))) as threads:
            answers = list(threads.map(ask, leases))
        return {lease.id for lease, is_so in zip(leases, answers, strict=True) if is_so}
