"""Leases as stores hold them: others may write there too."""

from uuid import uuid4

import pytest

from registry.discovery.lease_json import lease_of
from registry.discovery.leases import read_leases

GOOD = {"status": "ONLINE", "beat_at": 1.8e9, "ttl_seconds": 90}


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {**GOOD, "beat_at": "soon"},
        {**GOOD, "beat_at": 1e300},
        {**GOOD, "beat_at": float("nan")},
        {**GOOD, "beat_at": None},
        None,
        [],
    ],
)
def test_what_is_no_lease_keeps_nobody_from_the_others(bad):
    one, other = str(uuid4()), str(uuid4())
    found = read_leases([(other, bad), (one, GOOD)], lease_of)
    assert list(found) == [one]


def test_what_is_not_named_by_an_id_is_no_lease():
    assert not read_leases([("readme", GOOD)], lease_of)
