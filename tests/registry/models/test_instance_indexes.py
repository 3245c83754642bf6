"""What heartbeats change is in no index, so that PostgreSQL need not touch one for them."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from registry.discovery.base import RENEWED
from registry.models import ServiceInstance

pytestmark = pytest.mark.django_db


def test_no_index_has_a_column_that_heartbeats_change() -> None:
    table = ServiceInstance._meta.db_table
    with connection.cursor() as cursor:
        found: Any = connection.introspection.get_constraints(cursor, table)
    indexed = {column for each in found.values() if each["index"] for column in each["columns"]}
    assert "status" in indexed
    assert indexed.isdisjoint(RENEWED)
