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


def prepare_environment() -> Path:
    """Return the Python of an environment as requirements-bench.txt pins it; make it if needed.

    Raises:
        PackagesMissing: they cannot be installed here.
    """
    stamp, digest = DIRECTORY / "installed", hashlib.sha256(PINNED.read_bytes()).hexdigest()
    python = DIRECTORY / "bin" / "python"
    if not stamp.is_file() or stamp.read_text() != digest:
        _run([sys.executable, "-m", "venv", "--clear", str(DIRECTORY)])
        options = ["--quiet", "--no-deps", "--require-hashes", "--disable-pip-version-check"]
        _run([str(python), "-m", "pip", "install", *options, "-r", str(PINNED)])
        stamp.write_text(digest)
    return python


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        output = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise PackagesMissing(output[-1] if output else "no reason given") from error
