"""Timestamps of PostgreSQL are read as Django reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.db.backends.postgresql.psycopg_any import BaseTzLoader
from psycopg import DataError
from psycopg.postgres import types
from psycopg.pq import Format

from core.db.timestamps import InstantLoader

TIMESTAMPTZ = types["timestamptz"].oid
_Loader: Any = BaseTzLoader


class DjangoLoader(_Loader):
    timezone = UTC


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-29 20:33:37+00",
        "2026-11-29 20:33:37.1+00",
        "2026-11-29 20:33:37.000001+00",
        "0001-01-01 00:00:00+00",
        "9999-12-31 23:59:59.999999+00",
    ],
)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_an_instant_is_read_as_django_reads_it(text: str, kind: Any) -> None:
    data = kind(text.encode())
    read = InstantLoader(TIMESTAMPTZ).load(data)
    assert (read, read.tzinfo) == (DjangoLoader(TIMESTAMPTZ).load(data), UTC)


@pytest.mark.parametrize("text", ["infinity", "0044-03-15 00:00:00+00 BC", "10000-01-01 00:00+00"])
def test_what_is_no_datetime_is_refused_as_django_refuses_it(text: str) -> None:
    for loader in (InstantLoader(TIMESTAMPTZ), DjangoLoader(TIMESTAMPTZ)):
        with pytest.raises(DataError):
            loader.load(text.encode())


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL only")
def test_connections_read_instants_so() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT '2026-11-29 20:33:37.12+02'::timestamptz")
        assert cursor.fetchone() == (datetime(2026, 11, 29, 18, 33, 37, 120_000, UTC),)
    assert connection.connection.adapters.get_loader(TIMESTAMPTZ, Format.TEXT) is InstantLoader
