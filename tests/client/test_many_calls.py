"""Thousands of calls at once, over real sockets, to a server in a process of its own."""

import pytest

from benchmarks.client import call_at_once, serving
from service_integration_client.hub import MOST_CONNECTIONS

MORE = 1000  # than connections; twice as many in the first round


@pytest.mark.once
@pytest.mark.slow
async def test_thousands_of_concurrent_calls_leak_no_sockets_and_no_memory():
    """Pools and caches grow to their size in the first round, and no more in the second."""
    with serving() as url:
        before, first, second, after = await call_at_once(url, rounds=[2 * MORE, MORE])
    assert first.descriptors <= before.descriptors + MOST_CONNECTIONS
    assert second.descriptors <= first.descriptors
    assert after.descriptors == before.descriptors
    # One block or a kilobyte kept by each call would be a leak; half of that is noise.
    assert second.blocks - first.blocks < MORE / 2
    assert second.kilobytes - first.kilobytes < MORE / 2
