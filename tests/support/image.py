"""Builds and runs what the Dockerfile says, step by step, without a container engine.

A folder stands for the image's root; paths in commands and variables are taken below it. Packages
go into the environment of `tests.support.checkout`. A step that this does not know is an error:
then this has to learn it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.checkout import PYTHON, may_be_run_by_others
from tests.support.environments import ROOT, bare_environment, pip_of
from tests.support.servers import ending_with_this

STEP_SECONDS = 300


@dataclass
class Image:
    """What the steps so far have made."""

    root: Path
    context: Path = ROOT
    environment: dict[str, str] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    directory: str = "/"
    base: str = ""
    user: str = ""
    volumes: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    health_check: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def build(self) -> None:
        for keyword, rest in instructions((self.context / "Dockerfile").read_text()):
            getattr(self, f"_{keyword.lower()}")(rest)

    def place(self, path: str) -> Path:
        """Where a path of the image is."""
        return self.root / (Path(self.directory) / path).as_posix().lstrip("/")

    # What each instruction does

    def _from(self, rest: str) -> None:
        self.base = rest

    def _env(self, rest: str) -> None:
        self.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))

    def _workdir(self, rest: str) -> None:
        self.directory = rest
        self.place(".").mkdir(parents=True, exist_ok=True)

    def _copy(self, rest: str) -> None:
        *sources, target = rest.split()
        for file in sent_to_the_builder(self.context):
            if any(source in (".", file.as_posix()) for source in sources):
                to = self.place(target) / file
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.context / file, to)

    def _run(self, rest: str) -> None:
        for command in rest.split("&&"):
            program, *arguments = shlex.split(command)
            getattr(self, f"_run_{program}")(arguments)

    def _run_pip(self, arguments: Sequence[str]) -> None:
        command = [*pip_of(PYTHON), *arguments]
        run(command, cwd=self.place("."), env=bare_environment())

    def _run_python(self, arguments: Sequence[str]) -> None:
        run([PYTHON, *arguments], cwd=self.place("."), env=self.variables({}))

    def _run_useradd(self, arguments: Sequence[str]) -> None:
        self.users[arguments[-1]] = int(arguments[arguments.index("--uid") + 1])

    def _run_install(self, arguments: Sequence[str]) -> None:
        """With the number of a user that this machine has not, or without root's right to give."""
        *options, path = arguments
        kept = []
        for name, value in zip(options, [*options[1:], ""], strict=True):
            if name in ("--owner", "--group") and os.geteuid() == 0:
                kept += [name, str(self.users[value])]
            elif name in ("--directory", "--mode"):
                kept += [name] if name == "--directory" else [name, value]
        run(["install", *kept, self.place(path)], cwd=self.root, env=bare_environment())

    def _user(self, rest: str) -> None:
        self.user = rest

    def _volume(self, rest: str) -> None:
        self.volumes.append(rest)

    def _expose(self, rest: str) -> None:
        self.ports.append(int(rest))

    def _healthcheck(self, rest: str) -> None:
        self.health_check = yaml.safe_load(rest.partition("CMD ")[2])

    def _cmd(self, rest: str) -> None:
        self.command = yaml.safe_load(rest)

    # What runs in it

    def identity(self) -> dict[str, Any]:
        """For Popen: the image's user, if this process may become it, and Python runs as it."""
        if os.geteuid() != 0 or not may_be_run_by_others(PYTHON):
            return {}
        number = self.users[self.user]
        return {"user": number, "group": number, "extra_groups": []}

    def variables(self, more: Mapping[str, str]) -> dict[str, str]:
        found = {**self.environment, **more}
        below = {name: str(self.place(v)) for name, v in found.items() if v.startswith("/")}
        path = f"{PYTHON.parent}{os.pathsep}{os.defpath}"
        return {**found, **below, "PATH": path, "HOME": str(self.place("/data"))}

    def start(
        self, command: Sequence[str], more: Mapping[str, str], log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a process as its user, in its folder; it ends with the tests."""
        with log.open("ab") as output:
            return subprocess.Popen(
                [str(PYTHON.with_name(command[0])), *command[1:]],
                cwd=self.place("."), env=self.variables(more), stdout=output, stderr=output,
                preexec_fn=ending_with_this(signal.SIGKILL), **self.identity(),
            )  # fmt: skip


def run(command: Sequence[object], *, cwd: Path, env: Mapping[str, str]) -> None:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True,
        timeout=STEP_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """The instructions of a Dockerfile: keyword and the rest, lines that go on joined."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    for line in filter(str.strip, joined.splitlines()):
        keyword, rest = line.split(maxsplit=1)
        yield keyword, rest.strip()


# --- The build's context --------------------------------------------------------------------------


def sent_to_the_builder(context: Path) -> list[Path]:
    """The files that .dockerignore lets through, relative to the context."""
    lines = (context / ".dockerignore").read_text().splitlines()
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    excepted = {Path(pattern[1:]).parts[0] for pattern in patterns if pattern.startswith("!")}
    found = []
    for top in context.iterdir():
        # Docker walks through everything; what no exception begins with needs no look.
        if top.name in excepted:
            found += [top] if top.is_file() else [f for f in top.rglob("*") if f.is_file()]
    relative = (file.relative_to(context) for file in found)
    return [file for file in relative if not is_ignored(file, patterns)]


def is_ignored(file: Path, patterns: Iterable[str]) -> bool:
    """Whether .dockerignore keeps a file out: the last pattern that fits it or a folder of it."""
    ignored = False
    places = [file.as_posix(), *(parent.as_posix() for parent in file.parents)]
    for pattern in patterns:
        expression = re.escape(pattern.lstrip("!").strip("/"))
        expression = expression.replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if any(re.fullmatch(expression, place) for place in places):
            ignored = not pattern.startswith("!")
    return ignored


# --- Compose --------------------------------------------------------------------------------------


def compose_services(text: str, given: Mapping[str, str]) -> dict[str, Any]:
    """The services of a compose file, its variables replaced.

    Raises:
        KeyError: a variable that it asks for is not given; with what it says of that.
    """
    return dict(yaml.safe_load(interpolated(text, given))["services"])


def interpolated(text: str, given: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name, how, rest = match.groups()
        if given.get(name):
            return given[name]
        if how == ":?":
            raise KeyError(f"{name}: {rest}")
        return str(rest)

    return re.sub(r"\$\{([A-Z_]+)(:[-?])([^}]*)\}", value, text)
