"""Dumps of databases, to be compared."""

from __future__ import annotations

import sqlite3
import subprocess

from tests.support import servers


def dump_of(url: str) -> list[str]:
    """Return all that a database holds, as its own program writes it down."""
    if url.startswith("sqlite"):
        database = sqlite3.connect(url.partition(":")[2])
        # A rename quotes names, and a table that counts leaves its own behind.
        lines = [line.replace('"', "") for line in database.iterdump()]
        lines = [line for line in lines if "sqlite_sequence" not in line]
        database.close()
        return sorted(lines)  # and puts a table elsewhere in the catalogue
    program = servers.find_binary("pg_dump")
    assert program is not None
    text = subprocess.run([program, url], capture_output=True, text=True, check=True).stdout
    return [line for line in text.splitlines() if "restrict" not in line]
