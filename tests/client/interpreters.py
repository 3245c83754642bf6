"""Installs the client into an empty virtual environment of every Python found, and uses it.

`./dev interpreters` runs this. It builds one wheel, starts a hub, and needs the package index.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.hub import ROOT, running_hub

OLDEST = (3, 9)
PROGRAM = Path(__file__).parent / "new_user.py"
SECONDS = 300


def interpreters() -> Iterator[Path]:
    """One of each minor version from the oldest on, of pyenv's and of those on the path."""
    seen = set()
    folders = [*map(Path, os.environ.get("PATH", "").split(os.pathsep))]
    folders += sorted((Path.home() / ".pyenv" / "versions").glob("*/bin"))
    for minor in range(OLDEST[1], 30):
        for folder in folders:
            program = folder / f"python3.{minor}"
            if minor not in seen and program.exists() and "shims" not in program.parts:
                seen.add(minor)
                yield program


def run(*command: object, **environment: str) -> str:
    """Raises: CalledProcessError."""
    done = subprocess.run(
        [str(part) for part in command], check=True, text=True, timeout=SECONDS,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": "", **environment},
    )  # fmt: skip
    return done.stdout


def try_out(program: Path, folder: Path, wheel: Path, environment: dict[str, str]) -> str:
    """What the new user's program says, or how it failed."""
    python = folder / program.name / "bin" / "python"
    try:
        run(program, "-m", "venv", folder / program.name)
        run(python, "-m", "pip", "install", "--quiet", wheel)
        run(python.parent / "service-integration", "services", "list", **environment)
        return run(python, "-W", "error::SyntaxWarning", PROGRAM, **environment).strip()
    except subprocess.CalledProcessError as error:
        return f"{program.name} FAILED: {error.output[-2000:]}"


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder,
            ROOT / "client")  # fmt: skip
        (wheel,) = folder.glob("*.whl")
        with running_hub(folder, {}) as hub:
            environment = {
                "SERVICE_INTEGRATION_URL": f"{hub.url}/api",
                "SERVICE_INTEGRATION_API_KEY": hub.key,
            }
            said = [try_out(program, folder, wheel, environment) for program in interpreters()]
    sys.stdout.write("\n".join(said) + "\n")
    return int(any("FAILED" in each for each in said))


if __name__ == "__main__":
    sys.exit(main())
