"""Virtual environments that tests make for themselves, kept until what they are made of changes.

They lie in pytest's cache: the first run after a change makes them from the package index, through
the installer's own cache of wheels, and every other run finds them.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
KEPT = ROOT / ".pytest_cache" / "environments"
DEBIAN_WHEELS = Path("/usr/share/python-wheels")
SECONDS = 600
# What pip and uv say when nobody is there, as opposed to a package that is not.
UNREACHABLE = ("connection broken by", "Could not fetch URL", "error sending request")
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR")
PASSED_ON_PREFIXES = ("PIP_", "UV_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def interpreters(oldest: tuple[int, int]) -> list[Path]:
    """One of each minor version of Python 3 from the oldest on: on the path, or of pyenv."""
    folders = [*map(Path, os.environ.get("PATH", "").split(os.pathsep))]
    folders += sorted((Path.home() / ".pyenv" / "versions").glob("*/bin"))
    found: dict[int, Path] = {}
    for minor in range(oldest[1], 30):
        for program in (folder / f"python3.{minor}" for folder in folders):
            # Those of a virtual environment, and launchers of a version manager, are no own ones.
            is_own = not (program.parent.parent / "pyvenv.cfg").exists()
            if minor not in found and program.exists() and is_own and "shims" not in program.parts:
                found[minor] = program
    return [found[minor] for minor in sorted(found)]


def bare_environment() -> dict[str, str]:
    """The variables of this process without those of its virtual environment and of the hub."""
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_ON or name.upper().startswith(PASSED_ON_PREFIXES)
    }
    own = str(Path(sys.prefix) / "bin")
    folders = [part for part in passed_on.get("PATH", os.defpath).split(os.pathsep) if part != own]
    return {**passed_on, "PATH": os.pathsep.join(folders)}


def run(*command: object, cwd: Path = ROOT, variables: Mapping[str, str] | None = None) -> str:
    """Return what a program says, run without this environment's packages.

    Raises:
        AssertionError: it failed; with what it said.
    """
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**bare_environment(), **(variables or {})},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout[-4000:]}"
    return done.stdout


def environment(
    name: str, python: Path, made_of: Iterable[Path], fill: Callable[[Path], None]
) -> Path:
    """Return the interpreter of an environment that `fill`, given it, has installed into.

    It is made anew when the interpreter or a file of `made_of` changed. Where the package index
    cannot be reached, the test is skipped.
    """
    folder = KEPT / name
    digest = digest_of([python.resolve()], made_of)
    with locked(folder):
        stamp = folder / "made-of"
        if not stamp.exists() or stamp.read_text() != digest:
            shutil.rmtree(folder, ignore_errors=True)
            run(python, "-m", "venv", "--without-pip", folder)
            fill(folder / "bin" / "python")
            stamp.write_text(digest)
    return folder / "bin" / "python"


def install(python: Path, *arguments: object) -> None:
    """Install into the environment of that interpreter."""
    try:
        run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, *arguments)
    except AssertionError as error:
        skip_if_unreachable(str(error))
        raise


def skip_if_unreachable(said: str) -> None:
    """Skip the test where pip could not ask: nothing can be said without the package index."""
    if any(sentence in said for sentence in UNREACHABLE):
        pytest.skip("the package index cannot be reached")


def pip_of(python: Path) -> list[object]:
    """How to run the pip that came with an interpreter, for an environment that has none.

    The pip of another interpreter may be too new for an old one.
    """
    library = run(python, "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))").strip()
    bundled = Path(library, "ensurepip", "_bundled")
    for wheel in (*bundled.glob("pip-*.whl"), *DEBIAN_WHEELS.glob("pip-*.whl")):
        return [python, wheel / "pip"]
    return [sys.executable, "-m", "pip", "--python", python]


def digest_of(values: Iterable[object], files: Iterable[Path]) -> str:
    digest = hashlib.sha256("\n".join(map(str, values)).encode())
    for file in sorted(files):
        digest.update(f"\n{file}\n".encode() + file.read_bytes())
    return digest.hexdigest()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time make that folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
