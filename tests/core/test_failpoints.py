"""Where a process would kill itself, without doing so."""

import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from core import failpoints


def hits(text: str, *passes: tuple[str, str]) -> list[bool]:
    armed = failpoints.parse(text)
    assert armed is not None
    return [armed.is_hit(name, step) for name, step in passes]


def test_first_pass_through_its_place_is_hit():
    assert hits("C4", ("C3", ""), ("C4", "a"), ("C4", "a")) == [False, True, False]


def test_nth_pass_is_hit():
    assert hits("C4:3", ("C4", ""), ("C4", ""), ("C5", ""), ("C4", "")) == [False] * 3 + [True]


def test_only_the_step_that_is_named_is_hit():
    assert hits("C4@pay:2", ("C4", "pay"), ("C4", "ask"), ("C4", "pay")) == [False, False, True]


def test_nothing_is_armed_without_a_value():
    assert failpoints.parse("") is None


@pytest.mark.parametrize("text", ["x", "C", "C4:0", "C4:x", "C4@", "4"])
def test_value_that_names_no_place_is_refused(text):
    with pytest.raises(ImproperlyConfigured, match="Use a place such as C4"):
        failpoints.parse(text)


def test_production_refuses_failpoints():
    program = "import integration_site.settings"
    environment = {"ENVIRONMENT": "production", "SECRET_KEY": "x" * 50, "FAILPOINT": "C4"}
    result = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "FAILPOINT kills processes" in result.stderr
