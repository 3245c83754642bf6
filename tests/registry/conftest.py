"""What tests of the registry share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from registry.calls import client


@pytest.fixture(scope="module")
def shared_client() -> Iterator[None]:
    """Closes what code that is not asynchronous called with."""
    yield
    client._loop.run(client._shared_client().close())
    client._make_client.cache_clear()
