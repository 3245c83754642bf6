"""Patterns of names: what they match, and which is wider than which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.name_patterns import beyond, matches

pytestmark = pytest.mark.once
TEXTS = st.text("ab-", max_size=6)
PATTERNS = st.text("ab*", max_size=6)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("billing", "Billing", True), ("billing", "billing2", False), ("*", "", True),
        ("billing-*", "billing-eu", True), ("billing-*", "billing", False),
        ("*-eu", "billing-eu", True), ("a*a", "a", False), ("a*a", "aa", True),
        ("a*b*c", "a1b2c", True), ("a*b*c", "acb", False), ("**", "x", True),
        ("PLANNING_*", "PLANNING_SYSTEM", True), ("a.c", "abc", False), ("[ab]", "a", False),
    ],
)  # fmt: skip
def test_star_stands_for_any_characters_and_nothing_else_for_others(
    pattern: str, text: str, expected: bool
) -> None:
    assert matches(pattern, text) is expected


@given(PATTERNS, PATTERNS, TEXTS)
def test_pattern_of_a_pattern_is_never_wider(wide: str, narrow: str, text: str) -> None:
    if matches(wide, narrow) and matches(narrow, text):
        assert matches(wide, text)


def test_what_is_beyond_is_named() -> None:
    assert beyond(["a-1*", "*", "b"], ["a-*", "B"]) == ["*"]


def test_many_stars_cost_little() -> None:
    assert not matches("*a" * 50 + "b", "a" * 100)
