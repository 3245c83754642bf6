"""Writes a status page into a folder, to be served from elsewhere while the hub is down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from core.exceptions import NotFound
from monitoring.models import PageVisibility
from monitoring.status_pages.forms import (
    BADGES,
    badge_json,
    badge_of,
    badge_svg,
    components_of,
    feed_of,
    render_html,
    summary_of,
)
from monitoring.status_pages.keeping import Kept
from monitoring.status_pages.lifecycle import get_page
from monitoring.status_pages.reading import read_page


class Command(BaseCommand):
    help = (
        "Write a status page with its feed, JSON and badges as files, for any web server or bucket:"
        " a page that the hub serves is down when the hub is. Run it every minute."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("page", help="The name of the page.")
        parser.add_argument("--to", required=True, help="The folder; it is made if need be.")
        parser.add_argument("--url", default="", help="Where it will be seen, for links in feeds.")

    def handle(self, *args: Any, page: str, to: str, url: str, **options: Any) -> None:
        try:
            row = get_page(page)
        except NotFound as error:
            raise CommandError(error.message) from None
        if row.visibility != PageVisibility.PUBLIC:
            raise CommandError(f"{row.name} is not public: set its visibility to PUBLIC first.")
        folder, kept = Path(to), Kept(read_page(row, now=timezone.now()))
        try:
            written = [self._write(folder / name, text) for name, text in _files(kept, url)]
        except OSError as error:
            raise CommandError(f"{folder}: {error.strerror or error}") from None
        self.stdout.write(f"{len(written)} files of {row.name} are in {folder}.")

    @staticmethod
    def _write(path: Path, text: bytes) -> Path:
        """Write a file whole: who reads it meanwhile has the one before."""
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_bytes(text)
        fresh.replace(path)
        return path


def _files(kept: Kept, url: str) -> list[tuple[str, bytes]]:
    document = kept.document
    files = [
        ("index.html", render_html(kept, base=".").encode()),
        ("summary.json", _json(summary_of(kept, url=url))),
        ("feed.atom", feed_of(kept, url=url or ".")),
    ]
    badges = [("page", "status")]
    badges += [
        (each["id"], kind)
        for each in components_of(document)
        for kind in BADGES
        if kind == "status" or "uptime" in each
    ]
    for component, kind in badges:
        badge = badge_of(document, component, kind)
        files.append((f"badge/{component}/{kind}.svg", badge_svg(badge).encode()))
        files.append((f"badge/{component}/{kind}.json", _json(badge_json(badge))))
    return files


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode()
