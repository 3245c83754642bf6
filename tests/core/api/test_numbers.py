"""Numbers in requests are what JSON calls numbers, at every field and in every query."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from rest_framework import serializers

from core.api.fields import NumberField
from core.api.serializers import StrictSerializer
from integration_site.urls import urlpatterns
from tests import factories

assert urlpatterns  # loads every view, and with them every serializer
NO_NUMBERS: list[Any] = [
    "NaN", "nan", "Infinity", "-inf", "1e999", "1_0", "\u0661", "0x1", "", True, False, [1], {},
]  # fmt: skip


def kinds_of(kind: type) -> Iterator[Any]:
    each: type
    for each in kind.__subclasses__():
        yield each
        yield from kinds_of(each)


FIELDS = {
    f"{kind.__name__}.{name}": field
    for kind in kinds_of(StrictSerializer)
    for name, field in kind().fields.items()
    if isinstance(field, serializers.FloatField) and not field.read_only
}


def test_every_number_that_is_taken_is_read_strictly() -> None:
    assert len(FIELDS) > 2
    assert [name for name, field in FIELDS.items() if not isinstance(field, NumberField)] == []


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_no_field_takes_what_is_no_number(name: str, value: Any) -> None:
    with pytest.raises(serializers.ValidationError):
        FIELDS[name].run_validation(value)


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["NaN", "1_0", "1e999", "\u0661", "true"])
def test_queries_neither(text: str) -> None:
    api = factories.caller()
    execution = factories.make_execution()
    for path in (
        f"/executions/{execution.pk}?wait=",
        "/services?page=",
        "/registry/credentials?expiring=",
    ):
        answer = api.get(f"{path}{text}")
        assert answer.status_code == 400, (path, answer.content)
