"""An environment of its own for the peer that the hub does not use itself."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PINNED = ROOT / "requirements-bench.txt"
DIRECTORY = ROOT / "var" / "bench-venv"
INSTALL_SECONDS = 600


class PackagesMissing(Exception):
    """The pinned packages cannot be installed; the text says why."""


def prepare_environment(pinned: Path | None = None, directory: Path | None = None) -> Path:
    """Return the Python of an environment as a file pins it; make it if needed.

    Unless told otherwise, that is the one of requirements-bench.txt.

    Raises:
        PackagesMissing: they cannot be installed here.
    """
    pinned, directory = pinned or PINNED, directory or DIRECTORY
    stamp, digest = directory / "installed", hashlib.sha256(pinned.read_bytes()).hexdigest()
    python = directory / "bin" / "python"
    if not stamp.is_file() or stamp.read_text() != digest:
        _run([sys.executable, "-m", "venv", "--clear", str(directory)])
        options = ["--quiet", "--no-deps", "--require-hashes", "--disable-pip-version-check"]
        _run([str(python), "-m", "pip", "install", *options, "-r", str(pinned)])
        stamp.write_text(digest)
    return python


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        output = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise PackagesMissing(output[-1] if output else "no reason given") from error
