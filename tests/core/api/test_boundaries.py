"""No input gives a 500: every operation with the values at the boundaries of its description.

About ten thousand requests: only with `./dev test --slow`.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.fuzz import BOUNDED, load_schema, send_case

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.on_servers,
    pytest.mark.slow,
    pytest.mark.usefixtures("nothing_waits"),
]
schema = load_schema()


@schema.parametrize()
@BOUNDED
def test_boundaries_are_answered(case: Any, world: dict[str, str]) -> None:
    send_case(case, world)
