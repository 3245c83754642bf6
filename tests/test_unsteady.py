"""`./dev test` runs what failed once more, by itself, and says which tests are unsteady."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import backends
from tests.support.outcomes import Outcomes

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent
A, B, C, D = (f"test_a.py::test_{name}" for name in "abcd")


def outcomes(passed: str = "", **failed: str) -> Outcomes:
    names = {"a": A, "b": B, "c": C, "d": D}
    return Outcomes([names[name] for name in passed], {names[n]: t for n, t in failed.items()})


@pytest.mark.parametrize(
    ("first", "again", "is_well"),
    [
        ({"sqlite": outcomes(a="x")}, {"sqlite": outcomes("a")}, True),
        ({"sqlite": outcomes(a="x")}, {"sqlite": outcomes(a="x")}, False),
        ({"sqlite": outcomes(a="x")}, {}, False),  # it did not run again
        ({"sqlite": outcomes(a="x", b="x")}, {"sqlite": outcomes("a")}, False),  # b was skipped
        ({"sqlite": outcomes(a="x"), "postgres": outcomes("a")}, {"postgres": outcomes("a")}, 0),
        ({"sqlite": outcomes(a="x", b="x", c="x")}, {"sqlite": outcomes("abc")}, True),
        ({"sqlite": outcomes(a="x", b="x", c="x", d="x")}, {"sqlite": outcomes("abcd")}, False),
        (
            {"sqlite": outcomes(a="x", b="x"), "postgres": outcomes(a="x", b="x")},
            {"sqlite": outcomes("ab"), "postgres": outcomes("ab")},
            False,
        ),
        ({"sqlite": Outcomes([], {A: "x"}, ["test_b.py"])}, {"sqlite": outcomes("a")}, False),
        ({"sqlite": outcomes()}, {}, False),  # pytest failed without a test
    ],
)  # fmt: skip
def test_few_that_pass_the_second_time_are_no_failure(
    first: dict[str, Outcomes], again: dict[str, Outcomes], is_well: bool
) -> None:
    assert backends.are_few_and_unsteady(first, again) == is_well


def test_what_fails_twice_is_told_without_its_text_which_is_above() -> None:
    told = [*backends.describe("sqlite", outcomes(a="x", b="one\ntwo"), outcomes("b"))]
    assert told == [
        f"SQLite: failed twice: {A}",
        f"SQLite: unsteady, passed when it was run again: {B}",
        "    one",
        "    two",
    ]


FILES = {
    "test_a.py": """
import pathlib, pytest

@pytest.fixture
def machine():
    seen = pathlib.Path(__file__).with_name("seen")
    times = len(seen.read_text()) if seen.exists() else 0
    seen.write_text("x" * (times + 1))
    assert times > 0, "the machine was busy"

def test_steady():
    pass

def test_at_first_only(machine):
    pass
""",
    "test_b.py": "def test_other():\n    pass\n",
}


def test_what_fails_is_run_again_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(backends, "ROOT", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SI_BACKEND", "sqlite")
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    assert backends.main(["-n", "1"]) == 0
    told, _, summary = capfd.readouterr().out.partition("Summary")
    unsteady = "SQLite: unsteady, passed when it was run again: test_a.py::test_at_first_only"
    assert unsteady in summary
    assert "AssertionError: the machine was busy" in summary
    assert "1 passed, 1 deselected" in told  # of the second run, which does not load test_b.py
    assert (tmp_path / "seen").read_text() == "xx"
