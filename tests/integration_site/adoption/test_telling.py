"""What is told of an adoption: who is at work, what stays where it is, and the audit trail."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from core.models import AuditEntry
from integration_site.adoption import inspection
from integration_site.adoption.columns import columns_not_taken
from integration_site.adoption.exclusive import only_run
from integration_site.adoption.sources.sqlite import SqliteSource
from tests.support.earlier_database import SHAPES, fill

pytestmark = pytest.mark.django_db
# Read where another column lacks something, or the type or a limit asks for it.
WHERE_NEEDED = {
    ("credential", "username"), ("provider_quota", "monthly_tokens_used"),
    ("provider_quota", "monthly_cost_used"), ("provider_quota", "created_at"),
    ("model_budget", "last_reset"),
    ("workflow_execution", "created_at"),
}  # fmt: skip


@pytest.fixture
def url(tmp_path: Path, settings: Any) -> str:
    settings.CREDENTIAL_KEYS = "tests:" + "A" * 43 + "="
    url = f"sqlite:{tmp_path / 'earlier.sqlite3'}"
    fill(url, SHAPES["newer-odd"], services=8, executions=20)
    return url


def test_a_second_run_is_told_that_there_is_one(url: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("integration_site.adoption.exclusive.GRACE_SECONDS", 0.0)
    for act in ("--apply", "--revert"):
        with only_run(), pytest.raises(CommandError, match=r"Another run .* at work"):
            call_command("adopt_schema", act, "--from", url)
    call_command("adopt_schema", "--apply", "--from", url)  # the lock went with its holder


def test_each_act_is_told_once_to_the_audit_trail(url: str) -> None:
    for options in (["--apply"], ["--apply"], ["--apply", "--confirm"], ["--apply", "--confirm"]):
        call_command("adopt_schema", *options, "--from", url)
    call_command("adopt_schema", "--revert", "--from", url)
    entries = AuditEntry.objects.filter(object_type="adoption").order_by("id")
    assert [(entry.verb, entry.reason) for entry in entries] == [
        ("CREATED", "Taken over"), ("CHANGED", "Confirmed"), ("DELETED", "Given back"),
    ]  # fmt: skip
    assert {entry.object_name for entry in entries} == {url}
    assert entries[0].actor
    assert entries[0].changes["model"] == "4 read, 3 taken, 1 left"


class NotedRow(dict[str, Any]):
    """A row that notes which of its columns are read."""

    def __init__(self, values: dict[str, Any], read: set[str]) -> None:
        super().__init__(values)
        self.read = read

    def get(self, column: str, default: Any = None) -> Any:
        self.read.add(column)
        return super().get(column, default)


def test_what_is_told_as_not_taken_is_what_no_conversion_reads(url: str, monkeypatch: Any) -> None:
    read: dict[str, set[str]] = defaultdict(set)
    rows = SqliteSource.rows

    def noted(self: SqliteSource, table: Any, **options: Any) -> Iterator[dict[str, Any]]:
        yield from (NotedRow(row, read[table.name]) for row in rows(self, table, **options))

    monkeypatch.setattr(SqliteSource, "rows", noted)
    call_command("adopt_schema", "--apply", "--from", url)
    found = inspection.inspect(url)
    told = {(each.table, each.column) for each in columns_not_taken(found.tables)}
    unread = {
        (each.table.name, column.name)
        for each in found.tables
        if each.kind.becomes
        for column in each.table.columns
        if column.name not in read[each.table.name] | {"id"}
    }
    assert told == unread - WHERE_NEEDED
    found.source.close()


def test_both_reports_say_what_stays_where_it_is(url: str, tmp_path: Path, capsys: Any) -> None:
    call_command("adopt_schema", "--inspect", "--json", "--from", url)
    inspected = json.loads(capsys.readouterr().out)
    call_command("adopt_schema", "--inspect", "--from", url)
    inspected_text = capsys.readouterr().out
    call_command("adopt_schema", "--apply", "--json", "--from", url)
    applied = json.loads(capsys.readouterr().out)
    call_command("adopt_schema", "--apply", "--from", url)
    applied_text = capsys.readouterr().out
    for report in (inspected, applied):
        [step] = [e for e in report["columns_not_taken"] if e["column"] == "half_open_call_count"]
        assert step["table"] == "circuit_breaker_state"
        assert "next try" in step["reason"]
        [table] = report["tables_not_taken"]
        assert (table["table"], table["rows"]) == ("service_integration_config", 1)
    for text in (inspected_text, applied_text):
        assert "not taken  workflow_step.description" in text
    assert "not taken  service_integration_config (1 rows): the hub is set by" in applied_text
