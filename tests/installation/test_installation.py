"""What a user gets: the run-time packages alone, and with them the hub and the client at work."""

from __future__ import annotations

import functools
import re
import signal
import subprocess
import threading
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.support.checkout import PYTHON, checkout, python
from tests.support.environments import (
    ROOT,
    bare_environment,
    environment,
    install,
    interpreters,
    pip_of,
    run,
)
from tests.support.servers import ending_with_this, free_port
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.once

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CLIENT = ROOT / "client"
CLIENT_PYTHONS = [
    pytest.param(path, id=path.name, marks=[pytest.mark.slow] if number else [])
    for number, path in enumerate(interpreters((3, 9)))
]
NEW_USER = ROOT / "tests" / "client" / "new_user.py"
START_SECONDS = 240


def pins(name: str) -> dict[str, Version]:
    found = re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;]+)", (ROOT / name).read_text(), re.M)
    return {package.lower(): Version(version) for package, version in found}


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("requirements.txt", PROJECT["project"]["dependencies"]),
        ("requirements-dev.txt", PROJECT["dependency-groups"]["dev"]),
    ],
)
def test_every_dependency_is_pinned_within_its_range(file: str, wanted: list[str]) -> None:
    pinned = pins(file)
    for requirement in map(Requirement, wanted):
        assert pinned[requirement.name.lower()] in requirement.specifier, requirement


def test_development_pins_what_run_time_pins() -> None:
    run_time, development = pins("requirements.txt"), pins("requirements-dev.txt")
    both = run_time.keys() & development.keys()
    assert {name: run_time[name] for name in both} == {name: development[name] for name in both}


def test_command_line_of_the_client_is_among_the_dependencies() -> None:
    client = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]["dependencies"]
    pinned = pins("requirements.txt")
    for requirement in map(Requirement, client):
        if requirement.marker is None or requirement.marker.evaluate():
            assert pinned[requirement.name.lower()] in requirement.specifier, requirement


# --- What the run-time file installs --------------------------------------------------------------


@pytest.fixture(scope="module")
def installed() -> Path:
    return checkout()


def test_run_time_packages_are_enough_for_every_module_and_option(
    installed: Path, tmp_path: Path
) -> None:
    program = ROOT / "tests" / "support" / "new_installation.py"
    surroundings = {"DATA_DIR": str(tmp_path), "REDIS_URL": "redis://127.0.0.1:1/0"}
    said = run(PYTHON, program, cwd=installed, variables=surroundings)
    assert int(said.split()[-4]) > 500


@dataclass
class Hub:
    """A hub of `./dev run`, as its first user finds it."""

    url: str
    access: dict[str, str]


@pytest.fixture(scope="module")
def hub(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """`./dev run` on nothing but what is embedded."""
    data, port = tmp_path_factory.mktemp("installed"), free_port()
    own = {"DATA_DIR": str(data), "SERVICE_PORT": str(port), "LOG_LEVEL": "warning"}
    process = subprocess.Popen(
        [python(), installed / "dev", "run"], cwd="/", env=bare_environment() | own,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=ending_with_this(signal.SIGTERM),
    )  # fmt: skip
    overdue = threading.Timer(START_SECONDS, process.kill)
    overdue.start()
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "is ready" in line:
            break
    else:
        raise AssertionError("".join(said))
    overdue.cancel()
    lines = (data / "access.env").read_text().splitlines()
    access = dict(line.split("=", 1) for line in lines)
    threading.Thread(target=process.stdout.read, daemon=True).start()  # nobody waits for a reader
    yield Hub(f"http://127.0.0.1:{port}", access)
    process.terminate()
    assert process.wait(PATIENCE) == 128 + signal.SIGTERM


@pytest.mark.e2e
def test_command_line_beside_the_hub_knows_it(hub: Hub, installed: Path) -> None:
    program = installed / ".venv" / "bin" / "service-integration"
    assert "project-planning" in run(program, "workflows", "list", variables=hub.access)


@pytest.mark.e2e
def test_new_user_of_the_hub_runs_a_workflow(hub: Hub, installed: Path) -> None:
    assert "it works" in run(PYTHON, NEW_USER, variables=hub.access)


# --- The client on its own ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Return the client as a wheel, built when first asked for."""

    @functools.cache
    def build() -> Path:
        folder = tmp_path_factory.mktemp("wheel")
        options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder)
        run(*pip_of(PYTHON), "wheel", *options, CLIENT)
        return next(folder.glob("*.whl"))

    return build


@pytest.mark.e2e
@pytest.mark.parametrize("interpreter", CLIENT_PYTHONS)
def test_client_alone_works_with_its_command_line(
    interpreter: Path, hub: Hub, built: Callable[[], Path]
) -> None:
    alone = environment(
        f"client-{interpreter.name}",
        interpreter,
        made_of=[CLIENT / "pyproject.toml", *(CLIENT / "src").rglob("*.py")],
        fill=lambda python: install(python, built()),
    )
    command_line = alone.with_name("service-integration")
    assert "project-planning" in run(command_line, "workflows", "list", variables=hub.access)
    assert "it works" in run(alone, "-W", "error::SyntaxWarning", NEW_USER, variables=hub.access)
