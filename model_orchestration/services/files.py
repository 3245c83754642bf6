"""Files that callers of models name by their address."""

from __future__ import annotations

from concurrent.futures import Future

from yarl import URL

from core.exceptions import ValidationFailed
from registry.calls.blocking_client import on_shared_loop
from registry.models import Connection, ConnectionType

FETCH_SECONDS = 30.0


def begin_fetch(url: str, *, most_bytes: int) -> Future[bytes]:
    """Begin to fetch a file, and return its bytes to come; no credential goes along.

    Only from where an operator registered a connection: callers may not have the hub look around.

    Raises:
        ValidationFailed: it is no address of a connection.
    """
    try:
        target = URL(url)
        origin = str(target.origin())
    except ValueError:
        sentence = "Give a data: URL, or the address of a file that begins with https:// or http://"
        raise ValidationFailed.at("file_url", sentence) from None
    rows = Connection.objects.filter(type=ConnectionType.HTTP, disabled_at=None)
    if origin not in {_origin_of(each) for each in rows.values_list("base_url", flat=True)}:
        sentence = f"No connection leads to {origin}. An operator has to register one."
        raise ValidationFailed.at("file_url", sentence)
    return on_shared_loop(
        lambda client: client.fetch(url, seconds=FETCH_SECONDS, most_bytes=most_bytes)
    )


def _origin_of(base_url: str) -> str:
    try:
        return str(URL(base_url).origin())
    except ValueError:
        return ""
