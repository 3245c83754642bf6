"""How amounts look, and what goes into exports."""

from decimal import Decimal

import pytest

from model_orchestration.admin.amounts import Level, count_in_words, dollars, draw_levels
from model_orchestration.admin.csv_rows import csv_lines
from model_orchestration.admin.request import attempts_of
from model_orchestration.models import Request

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("0", "$0.00"),
        ("0.000000001", "$0.000000001"),
        ("0.0025", "$0.0025"),
        ("0.0123456", "$0.0123"),
        ("0.5", "$0.50"),
        ("0.9996", "$1.00"),
        ("1234.5", "$1,234.50"),
    ],
)
def test_small_amounts_keep_the_digits_that_tell_something(amount, words):
    assert dollars(Decimal(amount)) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0"), (9999, "9,999"), (12_400, "12.4k"), (3_000_000, "3M")]
)
def test_large_counts_are_short(count, words):
    assert count_in_words(count) == words


@pytest.mark.parametrize(
    ("used", "reserved", "limit", "tone", "state"),
    [(10, 0, 100, "good", ""), (60, 20, 100, "warning", "nearly used up"),
     (99, 1, 100, "bad", "used up"), (0, 0, 0, "bad", "used up")],
)  # fmt: skip
def test_level_says_its_state_in_colour_and_word(used, reserved, limit, tone, state):
    level = Level("tokens", used, reserved, limit)
    drawn = draw_levels([level])
    assert level.tone == tone
    assert f'data-tone="{tone}"' in drawn
    assert (state in drawn) if state else ("used up" not in drawn)


def test_export_holds_no_formula():
    lines = [*csv_lines([["=1+1", "a,b", 3, None, "@x"]])]
    assert lines == ["'=1+1,\"a,b\",3,,'@x\r\n"]


def test_attempts_follow_each_other():
    attempts = [
        {"model": "a", "milliseconds": 30, "error": "RATE", "status": 429},
        {"model": "b", "milliseconds": 70, "error": None, "status": None},
    ]
    first, second = attempts_of(Request(attempts=attempts))
    assert (first["left"], first["width"], first["tone"]) == ("0.00", "30.00", "bad")
    assert (second["left"], second["result"]) == ("30.00", "answered")
    assert first["result"] == "rate (429)"
