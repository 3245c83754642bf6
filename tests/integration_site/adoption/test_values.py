"""What is read of the values of a row, and what is noted of those that had to be mended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from core.db.names import fit_name
from core.identifiers import id_of_text
from integration_site.adoption.conversion.services import convert_services
from integration_site.adoption.conversion.values import Cells
from integration_site.adoption.findings import Notes
from registry.models.service import ServiceStatus, ServiceType

NOON = datetime(2025, 7, 1, 12, tzinfo=UTC)


def cells(value: str | None, zone: Any = UTC) -> Cells:
    return Cells({"c": value}, Notes("table", "key"), zone)


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2025-07-01 12:00:00", UTC, NOON),
        ("2025-07-01 12:00:00.000000", UTC, NOON),
        ("2025-07-01T12:00:00+00:00", UTC, NOON),
        ("2025-07-01 12:00:00+00", ZoneInfo("Europe/Berlin"), NOON),
        ("2025-07-01 14:00:00", ZoneInfo("Europe/Berlin"), NOON),
        (None, UTC, None),
    ],
)
def test_times_are_read_in_their_zone_or_the_one_that_was_told(
    text: str | None, zone: Any, moment: datetime | None
) -> None:
    read = cells(text, zone)
    assert read.time("c") == moment
    assert not list(read.notes)


@pytest.mark.parametrize("text", ["infinity", "0000-00-00 00:00:00", "yesterday", "", "1751371200"])
def test_what_is_no_time_is_left_empty_and_noted(text: str) -> None:
    read = cells(text)
    assert read.time("c") is None
    assert [finding.verdict for finding in read.notes] == ["MENDED"]


@pytest.mark.parametrize(
    ("text", "status", "notes"),
    [
        ("ONLINE", "ONLINE", 0),
        ("online", "ONLINE", 0),
        (" Online ", "ONLINE", 0),
        ("inactive", "OFFLINE", 0),
        ("mystery", "DEGRADED", 1),
        ("", "DEGRADED", 1),
        (None, "DEGRADED", 1),
    ],
)
def test_enums_are_read_in_any_case(text: str | None, status: str, notes: int) -> None:
    read = cells(text)
    assert read.enum("c", ServiceStatus, ServiceStatus.DEGRADED) == status
    assert len(list(read.notes)) == notes


def test_words_of_an_enum_may_be_parted_otherwise() -> None:
    assert cells("api-gateway").enum("c", ServiceType, "CUSTOM") == "API_GATEWAY"


@pytest.mark.parametrize(
    ("text", "value", "notes"),
    [
        ('{"a": 1}', {"a": 1}, 0),
        (None, {}, 0),
        ("null", {}, 0),
        ("[1]", {"c": [1]}, 1),
        ("{broken", {"c": "{broken"}, 2),
        ('{"a": NaN}', {"c": '{"a": NaN}'}, 2),
        ('{"a": "x\\u0000y"}', {"a": "x\ufffdy"}, 1),
        ('{"a": "\\ud800"}', {"a": "\ufffd"}, 1),
        ('{"a": "\\ud83d\\ude00"}', {"a": "😀"}, 1),
    ],
)
def test_json_becomes_an_object_that_a_column_takes(
    text: str | None, value: Any, notes: int
) -> None:
    read = cells(text)
    assert read.object("c") == value
    assert len(list(read.notes)) == notes


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("planner", "planner"),
        ("Planner v1.2_x", "Planner v1.2_x"),
        ("Ünïcode / name!", "n-code - name-"),
        ("  ", "unnamed"),
        ("/", "unnamed"),
        (
            "0a6f8bb4-7a25-4cde-8c92-6ddcf3b0b0a1",
            "0a6f8bb4-7a25-4cde-8c92-6ddcf3b0b0a1-service",
        ),
        ("x" * 300, "x" * 100),
    ],
)
def test_names_become_names(text: str, name: str) -> None:
    assert fit_name(text) == name


def test_an_identifier_has_one_id_for_ever() -> None:
    # Written out, as rows have it: another algorithm would lose them.
    assert str(id_of_text("run-0000007")) == "b8bcce10-6bbe-5ee6-93b2-c8ecb7bd2498"
    assert str(id_of_text("0A6F8BB47A254CDE8C926DDCF3B0B0A1")) == (
        "0a6f8bb4-7a25-4cde-8c92-6ddcf3b0b0a1"
    )


@pytest.mark.parametrize(
    "endpoint", ["null", '"GET /x"', "{}", '{"path": "x"}', '{"path": "/x", "method": "TRACE"}']
)
def test_what_is_no_endpoint_is_no_action_and_noted(endpoint: str) -> None:
    row = {
        "service_id": "a",
        "name": "a",
        "type": "API_GATEWAY",
        "status": "ONLINE",
        "base_url": "http://a:1",
        "endpoints": f'[{endpoint}, {{"path": "/y", "more": 1}}]',
    }
    read = Cells(row, Notes("registered_service", "a"))
    [converted] = convert_services([read], now=NOON)
    assert list(converted.actions) == ["get_y"]
    assert [finding.column for finding in read.notes] == ["endpoints"]
