"""One statement says of many queries whether they find anything."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.db.signs import RowSigns
from tests.factories import make_service

SIGNS = RowSigns(
    young="SELECT 1 FROM registered_service WHERE created_at > %(since)s",
    named="SELECT 1 FROM registered_service WHERE name = %(name)s",
    offline="SELECT 1 FROM registered_service WHERE status = 'OFFLINE'",
)


@pytest.mark.django_db
def test_many_queries_are_asked_by_one_statement() -> None:
    make_service("billing", status="OFFLINE")
    hour_ago = timezone.now() - timedelta(hours=1)
    with CaptureQueriesContext(connection) as queries:
        assert SIGNS.seen(since=hour_ago, name="billing") == {"young", "named", "offline"}
    assert len(queries) == 1
    assert SIGNS.seen(since=timezone.now() + timedelta(hours=1), name="shop") == {"offline"}


def test_nothing_is_asked_of_no_queries() -> None:
    assert RowSigns().seen() == set()
