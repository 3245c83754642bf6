"""Makes once in a run of tests what every worker and every hub starts with: tables and styles.

Migrations take four seconds of a core and static files three; copies of them take none. Whoever
starts from a copy still migrates and bootstraps: there is then nothing left to do. That both do
their work from nothing is for `test_installation` (SQLite), and for `test_image` and the killing
at failpoints (PostgreSQL).
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.environments import ROOT, locked

# Names the folder of the whole run, for the workers that pytest starts.
FOLDER = "SI_TESTS_RUN"
TEMPLATE_DATABASE = "migrated"


def migrated_file() -> Path:
    """Return an SQLite database with all tables; made by whoever asks first."""
    folder = Path(os.environ[FOLDER])
    with locked(folder / "tables"):
        if not (folder / "tables-made").exists():
            _manage("migrate", DATA_DIR=str(folder))
            (folder / "tables-made").touch()
    return folder / "hub.sqlite3"


def migrated_database() -> str:
    """Return the name of a PostgreSQL database with all tables, of which others can be copies."""
    folder = Path(os.environ[FOLDER])
    with locked(folder / "tables"):
        if not (folder / "tables-made").exists():
            create_database(TEMPLATE_DATABASE)
            _manage("migrate", DATA_DIR=str(folder), POSTGRES_DB=TEMPLATE_DATABASE)
            (folder / "tables-made").touch()
    return TEMPLATE_DATABASE


def create_database(name: str, *, template: str = "template1") -> None:
    """Create a database on the PostgreSQL of the tests, in place of one of the same name."""
    address = f"host={os.environ['POSTGRES_HOST']} port={os.environ['POSTGRES_PORT']} user=postgres"
    with psycopg.connect(f"{address} dbname=postgres", autocommit=True) as connection:
        names = sql.Identifier(name), sql.Identifier(template)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(names[0]))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))


def copy_static_files(directory: Path) -> None:
    """Put the collected static files where a hub with that data directory collects them."""
    folder = Path(os.environ[FOLDER])
    with locked(folder / "static-files"):
        if not (folder / "static" / ".stamp").exists():
            _manage("collectstatic", DATA_DIR=str(folder))
            (folder / "static" / ".stamp").write_text(_static_digest())
    shutil.copytree(folder / "static", directory / "static", dirs_exist_ok=True)


def _static_digest() -> str:
    """The stamp by which a bootstrap knows that it has nothing to collect."""
    from integration_site.management.commands.bootstrap import static_digest  # needs the settings

    return static_digest()


def _manage(command: str, **variables: str) -> None:
    """Run a command of manage.py in a process of its own, which leaves no connection behind."""
    own = {"SECRET_KEY": secrets.token_hex(32), "LOG_LEVEL": "WARNING", **variables}
    subprocess.run(
        [sys.executable, "manage.py", command, "--no-input", "--verbosity=0"],
        cwd=ROOT,
        env={**os.environ, **own},
        check=True,
    )
