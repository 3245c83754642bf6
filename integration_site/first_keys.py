"""Makes the key of credentials that a development hub starts with, in a file of its own."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from django.conf import settings

from core.vault import new_key


def create_credential_key() -> str:
    """Make a key for the secrets of credentials where none is, and return a line on it."""
    file = settings.DATA_DIR / "credential-keys.env"
    if settings.CREDENTIAL_KEYS or settings.IN_PRODUCTION or file.exists():
        return ""
    draft = settings.DATA_DIR / f"credential-keys.{secrets.token_hex(4)}"
    write_private(draft, f"CREDENTIAL_KEYS={new_key('development')}\n")
    try:
        os.link(draft, file)  # of two starts at once, one wins
        return f"made {file.name}: without it no stored secret can be read"
    except FileExistsError:
        return f"{file.name} was made by another start at the same moment"
    finally:
        draft.unlink()


def read_credential_key() -> str:
    """Return the keys of the file, for the process that made it."""
    file = settings.DATA_DIR / "credential-keys.env"
    text = file.read_text() if file.is_file() else ""
    return text.strip().partition("=")[2]


def write_private(file: Path, text: str) -> None:
    temporary = file.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(file)
