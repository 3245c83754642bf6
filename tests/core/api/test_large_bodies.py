"""What is wrong thousands of times in a body is told some times, and costs as much."""

from __future__ import annotations

from typing import Any

import pytest

from core.api.serializers import MOST_ELEMENTS
from core.suggestions import MOST_UNKNOWN
from tests import factories

pytestmark = pytest.mark.django_db

MANY = {f"k{n}": n for n in range(3_000)}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/registry/services", MANY),
        ("/workflows/of-many/execute", MANY),
        ("/registry/connections", {"name": "n", "type": "HTTP", "config": MANY}),
        ("/registry/services", {"name": "n", "url": "http://a", "circuit_breaker": MANY}),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join([*value][:3]),
)
def test_unknown_names_are_told_up_to_a_number(path: str, body: dict[str, Any]) -> None:
    factories.make_workflow("of-many")
    answer = factories.caller().post(path, body)
    assert answer.status_code == 400
    told = [sentence for found in answer.json()["errors"].values() for sentence in found]
    assert 1 <= len(told) <= MOST_UNKNOWN


@pytest.mark.parametrize(
    ("path", "field", "most"),
    [("/discovery/services/search", "types", MOST_ELEMENTS), ("/models", "capabilities", 10)],
)
def test_long_list_is_refused_before_its_elements_are_read(
    path: str, field: str, most: int
) -> None:
    body = {"name": "n", field: [{}] * (most + 1)}
    errors = factories.caller().post(path, body).json()["errors"]
    assert errors[field] == [f"Ensure this field has no more than {most} elements."]
