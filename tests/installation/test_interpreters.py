"""What depends on the interpreter, on every supported one that is installed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.support.environments import ROOT, environment, install, interpreters, run

pytestmark = pytest.mark.once

OWN = f"python3.{sys.version_info.minor}"
OTHERS = [path for path in interpreters((3, 11)) if path.name != OWN]
MARK = "pytest.mark.each_python"
RUN_TIME, DEVELOPMENT = ROOT / "requirements.txt", ROOT / "requirements-dev.txt"
# What the marked tests need besides the run-time packages.
TOOLS = (
    "execnet", "hypothesis", "iniconfig", "pluggy", "pytest", "pytest-asyncio", "pytest-django",
    "pytest-xdist", "sortedcontainers",
)  # fmt: skip


def marked_files() -> list[Path]:
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [path for path in files if path != Path(__file__) and MARK in path.read_text()]


def pins_of_tools() -> str:
    """The lines of the development file, with their hashes, for these tools alone."""
    pins = re.split(r"\n(?=\S)", DEVELOPMENT.read_text())
    return "\n".join(pin for pin in pins if pin.partition("==")[0] in TOOLS)


def prepared(program: Path, folder: Path) -> Path:
    """An environment of that interpreter with what the marked tests need."""
    tools = folder / "tools.txt"
    tools.write_text(pins_of_tools())

    def fill(python: Path) -> None:
        install(python, "--no-deps", "--require-hashes", "-r", RUN_TIME, "-r", tools)

    return environment(f"tests-{program.name}", program, [RUN_TIME, DEVELOPMENT], fill)


def test_there_is_something_to_run() -> None:
    assert len(marked_files()) > 3
    assert pins_of_tools().count("==") == len(TOOLS)


@pytest.mark.slow
@pytest.mark.parametrize("program", OTHERS, ids=lambda path: path.name)
def test_what_depends_on_the_interpreter_holds_there_too(program: Path, tmp_path: Path) -> None:
    python = prepared(program, tmp_path)
    said = run(
        python, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "each_python",
        *marked_files(), variables={"SI_BACKEND": "sqlite"},
    )  # fmt: skip
    passed = re.search(r"(\d+) passed", said)
    assert passed is not None, said
    assert int(passed.group(1)) > 100
