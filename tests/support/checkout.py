"""A copy of the project in which `./dev` installs what a user gets, and nothing for development."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.environments import (
    KEPT,
    ROOT,
    bare_environment,
    digest_of,
    interpreters,
    locked,
    run,
    skip_if_unreachable,
)

CHECKOUT = KEPT / "checkout"
PYTHON = CHECKOUT / ".venv" / "bin" / "python"
OLDEST = (3, 11)
# Of a user that is not there: who runs the image's processes.
UNPRIVILEGED = 10001
# These find the project by where they lie; everything else is only linked.
COPIED = ("dev", "supervise.py")
LEFT_OUT = {".venv", ".git", ".pytest_cache", "__pycache__", "var", *COPIED}
PINNED = [ROOT / "requirements.txt", ROOT / "client" / "pyproject.toml"]


def checkout() -> Path:
    """Return the copy, with a virtual environment as `./dev manage` makes it."""
    with locked(CHECKOUT):
        CHECKOUT.mkdir(exist_ok=True)
        _bring_up_to_date()
        stamp, digest = CHECKOUT / ".venv" / "made-of", digest_of([python()], PINNED)
        if not stamp.exists() or stamp.read_text() != digest:
            # Not brought up to date: what is no longer pinned would stay.
            shutil.rmtree(CHECKOUT / ".venv", ignore_errors=True)
            _install()
            stamp.write_text(digest)
    return CHECKOUT


def _bring_up_to_date() -> None:
    wanted = {path.name for path in ROOT.iterdir()} - LEFT_OUT
    for path in CHECKOUT.iterdir():
        if path.is_symlink() and path.name not in wanted:
            path.unlink()
    for name in wanted:
        if not (CHECKOUT / name).is_symlink():
            (CHECKOUT / name).symlink_to(ROOT / name)
    for name in COPIED:
        shutil.copy(ROOT / name, CHECKOUT)


def _install() -> None:
    """Have `./dev` make .venv, by a command that does nothing else with it."""
    try:
        own = {"DATA_DIR": str(CHECKOUT / "var"), "PATH": f"{_folder_of_uv()}:{os.environ['PATH']}"}
        run(python(), CHECKOUT / "dev", "manage", "version", variables=own)
    except AssertionError as error:
        skip_if_unreachable(str(error))
        raise


def _folder_of_uv() -> Path:
    """Return a folder with uv and nothing else of the environment that runs the tests.

    With it `./dev` installs in seconds of a core what takes pip half a minute.
    """
    folder = KEPT / "uv"
    folder.mkdir(exist_ok=True)
    if not (folder / "uv").exists():
        (folder / "uv").unlink(missing_ok=True)
        (folder / "uv").symlink_to(Path(sys.prefix, "bin", "uv"))
    return folder


@functools.cache
def python() -> Path:
    """An interpreter that other users of this machine may run too, if there is one."""
    own = Path(sys.executable).resolve()
    for found in (own, *reversed(interpreters(OLDEST))):
        if may_be_run_by_others(found):
            return found
    return own


def may_be_run_by_others(program: Path) -> bool:
    if os.geteuid() != 0:
        return True  # everything runs as this user, who can
    command = [str(program), "-c", "import encodings"]
    try:
        done = subprocess.run(
            command, user=UNPRIVILEGED, group=UNPRIVILEGED, extra_groups=[],
            env=bare_environment(), cwd="/", capture_output=True, check=False,
        )  # fmt: skip
    except PermissionError:
        return False
    return done.returncode == 0
