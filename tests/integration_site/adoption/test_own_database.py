"""Takes over tables that stand in the hub's own database, killed anywhere, and puts them back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from integration_site.adoption import application, reversal
from integration_site.adoption.inspection import inspect_own
from integration_site.adoption.notice import earlier_tables_notice
from integration_site.adoption.record import AdoptionRecord
from tests.support import made_once
from tests.support.adoption_kills import APPLYING, FEW, REVERTING
from tests.support.dumps import dump_of
from tests.support.earlier_database import (
    NAMED_AS_THE_HUBS,
    SHAPES,
    TABLES,
    Shape,
    fill,
    table_name,
)
from tests.support.environments import ROOT

OLDER = replace(SHAPES["older"], lacks=NAMED_AS_THE_HUBS)
# With keys, foreign keys and checks, of which the last have the names that the hub's own have.
CONSTRAINED = replace(SHAPES["newer"], plural=True, lacks=NAMED_AS_THE_HUBS)


def fresh_database(backend: str, tmp_path: Path) -> tuple[str, dict[str, str]]:
    """Return the URL of an empty database, and the variables of a hub on it."""
    own = {**os.environ, "DATA_DIR": str(tmp_path), "CREDENTIAL_KEYS": "tests:" + "A" * 43 + "="}
    if backend == "sqlite":
        return f"sqlite:{tmp_path / 'hub.sqlite3'}", own
    made_once.create_database("adopted")
    host, port = os.environ["POSTGRES_HOST"], os.environ["POSTGRES_PORT"]
    url = f"postgres://postgres:trusted@{host}:{port}/adopted"
    return url, {**own, "POSTGRES_DB": "adopted"}


@pytest.mark.needs_backend
@pytest.mark.on_servers
def test_killed_anywhere_the_next_run_ends_it_and_reverting_gives_all_back(
    backend: str, tmp_path: Path, in_full: bool
) -> None:
    url, environment = fresh_database(backend, tmp_path)
    fill(url, SHAPES["newer-odd"], services=4, executions=10)
    before = dump_of(url)
    places = (*APPLYING, *REVERTING) if in_full else FEW
    command = [sys.executable, "-m", "tests.support.adoption_kills", *places]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    told: list[list[str]] = [json.loads(line) for line in result.stdout.splitlines()]
    notices = [text for what, text in told if what == "notice"]
    assert "tables of an earlier system" in notices[0]
    assert "--apply" in notices[0]
    assert "was begun and has not ended" in notices[1]
    assert notices[2] == ""
    outcomes = {what: text for what, text in told if what != "notice"}
    assert {outcomes[place] for place in places} == {"KILLED"}
    tables = {row["table"]: row for row in json.loads(outcomes["applied"])["tables"]}
    assert tables["workflow_execution"]["taken"] == tables["workflow_execution"]["read"] == 19
    assert outcomes["again"] == outcomes["applied"]
    assert outcomes["violations"] == "0"
    assert dump_of(url) == before


def own_url(backend: str) -> str:
    name = connection.settings_dict["NAME"]
    if backend == "sqlite":
        return f"sqlite:{name}"
    host, port = os.environ["POSTGRES_HOST"], os.environ["POSTGRES_PORT"]
    return f"postgres://postgres:trusted@{host}:{port}/{name}"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("shape", [OLDER, CONSTRAINED], ids=["odd", "constrained"])
def test_older_tables_beside_the_hubs_are_set_aside_and_come_back(
    backend: str, settings: Any, shape: Shape
) -> None:
    settings.CREDENTIAL_KEYS = "tests:" + "A" * 43 + "="
    url = own_url(backend)
    connection.close()
    before = dump_of(url)
    fill(url, shape, services=4, executions=10)
    filled = dump_of(url)
    try:
        notice = earlier_tables_notice()
        assert notice is not None
        assert not notice.stops  # a hub that runs goes on
        application.apply("", zone=UTC, say=lambda _: None)
        assert {each.table.name for each in inspect_own().tables} >= {"registered_services"}
        assert AdoptionRecord.exists()
        reversal.revert("", confirmed=False, say=lambda _: None)
        assert not AdoptionRecord.exists()
        connection.close()
        after = dump_of(url)
        earlier = [line for line in filled if line not in set(before)]
        assert [line for line in after if line in set(earlier)] == earlier
    finally:
        drop_earlier(shape)


def drop_earlier(shape: Shape) -> None:
    """Take the tables and types away that the test made."""
    names = [table_name(kind, shape) for kind in TABLES if kind not in NAMED_AS_THE_HUBS]
    with connection.cursor() as cursor:
        for name in reversed(names):  # those first that refer to others
            cursor.execute(f'DROP TABLE IF EXISTS "{name}"')
        if connection.vendor == "postgresql":
            cursor.execute("SELECT typname FROM pg_type WHERE typtype = 'e'")
            for (name,) in cursor.fetchall():
                cursor.execute(f'DROP TYPE "{name}"')


def test_a_database_of_the_hub_alone_gives_no_notice(db: None) -> None:
    assert earlier_tables_notice() is None
