"""Keeps what status pages show: it costs a reading each ten seconds, however many ask.

While the database is away the last reading is shown, and since when. It is kept in a file too, so
that a web process that starts meanwhile has it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from core.cache import BoundedCache
from core.exceptions import NotFound
from monitoring.models import PageVisibility, StatusPage
from monitoring.status_pages.reading import Document, read_page

logger = structlog.get_logger(__name__)

KEPT_SECONDS = 10.0
MOST_PAGES = 100
INDEX = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A document, and whether it is older than it should be, because nothing newer can be read."""

    document: Document
    is_stale: bool = False


class PageKeeper:
    """The documents that were read last, by the name of their page."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._kept: BoundedCache[str, tuple[float, Document]] = BoundedCache(MOST_PAGES)
        self._reading = threading.Lock()

    def get(self, name: str, read: Callable[[], Document]) -> Kept:
        """Return the document of a page, read anew where it is ten seconds old.

        Raises:
            NotFound: there is no such page.
            DatabaseError: it cannot be read, and never was.
        """
        name = name.lower()
        held = self._kept.get(name)
        if held is not None and self._clock() - held[0] < KEPT_SECONDS:
            return Kept(held[1])
        # While one reads, the others show what there is.
        if not self._reading.acquire(blocking=held is None):
            assert held is not None
            return Kept(held[1])
        try:
            return self._read(name, read)
        finally:
            self._reading.release()

    def _read(self, name: str, read: Callable[[], Document]) -> Kept:
        try:
            document = read()
        except NotFound:
            self._kept.pop(name, None)
            self._file_of(name).unlink(missing_ok=True)
            raise
        except DatabaseError as error:
            logger.warning("status_page_not_read", page=name, error=str(error)[:300])
            held = self._kept.get(name)
            last = held[1] if held else self._from_file(name)
            if last is None:
                raise
            return Kept(last, is_stale=True)
        self._kept[name] = (self._clock(), document)
        self._to_file(name, document)
        return Kept(document)

    def _file_of(self, name: str) -> Path:
        return self._folder / f"{sha256(name.encode()).hexdigest()[:32]}.json"

    def _to_file(self, name: str, document: Document) -> None:
        path = self._file_of(name)
        fresh = path.with_suffix(f".{threading.get_ident()}")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.write_text(json.dumps(document))
            fresh.replace(path)
        except OSError as error:
            logger.warning("status_page_not_kept", page=name, error=str(error)[:300])

    def _from_file(self, name: str) -> Document | None:
        try:
            found: Any = json.loads(self._file_of(name).read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def forget(self) -> None:
        """Forget what is kept in memory."""
        self._kept.clear()


keeper = PageKeeper(settings.DATA_DIR / "status")


def kept_page(name: str) -> Kept:
    """Return what a page shows. Raises: NotFound, also of one that is off."""
    return keeper.get(name, lambda: _read_page(name, now=timezone.now()))


def _read_page(name: str, *, now: datetime) -> Document:
    page = StatusPage.objects.find(name)
    if page is None or page.visibility == PageVisibility.OFF:
        raise NotFound("There is no such status page, or it is off.")
    return read_page(page, now=now)


def kept_index() -> Kept:
    """Return the public pages by name, as a document: for who names none."""
    return keeper.get(INDEX, _read_index)


def _read_index() -> Document:
    rows = StatusPage.objects.filter(visibility=PageVisibility.PUBLIC).order_by("name")
    pages = [{"name": row.name, "title": row.heading} for row in rows[:MOST_PAGES]]
    return {"pages": pages, "made_at": timezone.now().isoformat()}
