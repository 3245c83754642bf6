"""Reads the values of a row of the earlier system, which a source gives as texts (pure)."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, NoReturn

from core.db.names import fit_name
from core.db.vocabulary import Vocabulary
from core.identifiers import id_of_text
from integration_site.adoption.findings import Notes

Row = Mapping[str, str | None]
_SHOWN = 60
_SEPARATOR = re.compile(r"[- ]")
_UNSTORABLE = re.compile(r"\\u0000|\\ud[89a-f]", re.IGNORECASE)


@dataclass(frozen=True)
class Cells:
    """A row, the notes that reading it leaves, and the time zone of times without one."""

    row: Row
    notes: Notes
    zone: tzinfo = UTC

    def text(self, column: str, *, most: int | None = None) -> str:
        """Return a text without what no column can hold; empty for NULL."""
        value = self.row.get(column)
        if value is None:
            return ""
        if "\x00" in value:
            value = value.replace("\x00", "\ufffd")
            self.notes.mended(column, "held a NUL, which no text column takes")
        if most is not None and len(value) > most:
            self.notes.mended(column, f"cut to {most} characters from {len(value)}")
            return value[:most]
        return value

    def time(self, column: str) -> datetime | None:
        """Return a time in UTC; None for NULL and for what is no time."""
        value = self.row.get(column)
        if value is None:
            return None
        try:
            return _moment(value, self.zone)
        except (ValueError, OverflowError):
            self.notes.mended(column, f"'{value[:_SHOWN]}' is no time; left empty")
            return None

    def number(self, column: str) -> float | None:
        value = self.row.get(column)
        try:
            return None if value is None else float(value)
        except ValueError:
            self.notes.mended(column, f"'{value[:_SHOWN]}' is no number; left empty")  # type: ignore[index]
            return None

    def count(self, column: str) -> int:
        """Return a number of things; 0 for NULL and for what is below."""
        number = self.number(column)
        if number is None or number != number or number < 0 or number > 2**31 - 1:
            if number is not None:
                self.notes.mended(column, f"{number:g} counts nothing; made 0")
            return 0
        return int(number)

    def json(self, column: str) -> Any:
        """Return the JSON value that can be stored; None for NULL."""
        value = self.row.get(column)
        if value is None or value == "null":
            return None
        try:
            read = _decode(value)
        except (ValueError, RecursionError):
            self.notes.mended(column, "is no JSON; kept as a text")
            read = value
        if _UNSTORABLE.search(value) or "\x00" in value:
            self.notes.mended(column, "held characters that no JSON column takes; replaced")
            plain = json.dumps(read, ensure_ascii=False).replace("\\u0000", "\ufffd")
            plain = plain.replace("\x00", "\ufffd")
            return json.loads(plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
        return read

    def json_text(self, column: str) -> str | None:
        """Return the text of a JSON value that can be stored; None for NULL."""
        value = self.row.get(column)
        if value is not None and _storable(value) is not None:
            return value
        read = self.json(column)
        return None if read is None else dump(read)

    def object_text(self, column: str) -> str:
        """Return the text of a JSON object, as `object` makes it."""
        value = self.row.get(column)
        if value is not None and isinstance(_storable(value), dict):
            return value
        return dump(self.object(column))

    def object(self, column: str) -> dict[str, Any]:
        """Return a JSON object; another value stands in one under the name of its column."""
        value = self.json(column)
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        self.notes.mended(column, f"is no JSON object; kept as its '{column}'")
        return {column: value}

    def texts(self, column: str) -> list[str]:
        """Return a list of texts, such as errors: also of one value or of other things."""
        value = self.json(column)
        if value is None:
            return []
        items = value if isinstance(value, list) else [value]
        return [item if isinstance(item, str) else json.dumps(item) for item in items]

    def enum(
        self, column: str, vocabulary: type[Vocabulary], default: str, *, may_lack: bool = False
    ) -> str:
        """Return a value of a vocabulary in its upper case; the default for any other."""
        value = self.row.get(column)
        if value is None:
            if not may_lack:
                self.notes.mended(column, f"was NULL; taken as {default}")
            return default
        try:
            return _member(vocabulary, value)
        except ValueError:
            self.notes.mended(column, f"'{value[:_SHOWN]}' is no value of it; taken as {default}")
            return default


# Neighbours have the same values: statuses and types always, times mostly.
@lru_cache(maxsize=4096)
def _moment(text: str, zone: tzinfo) -> datetime:
    """Return a time in UTC. Raises: ValueError, OverflowError."""
    read = datetime.fromisoformat(text)
    return (read if read.tzinfo is not None else read.replace(tzinfo=zone)).astimezone(UTC)


@lru_cache(maxsize=1024)
def _member(vocabulary: type[Vocabulary], text: str) -> str:
    """Return the value that a text is. Raises: ValueError."""
    return vocabulary.parse(_SEPARATOR.sub("_", text.strip())).value


def _storable(text: str) -> Any:
    """Return the JSON value of a text that can be stored as it is; None for any other, and null."""
    if _UNSTORABLE.search(text) or "\x00" in text:
        return None
    try:
        return _decode(text)
    except (ValueError, RecursionError):
        return None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


# Made once: `json.loads` and `json.dumps` would make them for each value.
_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode
dump = json.JSONEncoder(ensure_ascii=False).encode


def key_text(row: Row, column: str) -> str:
    """Return what names a row: its key, or its primary key where that is NULL."""
    value = row.get(column)
    return (row.get("id") or "") if value is None else value


def name_of(cells: Cells) -> str:
    """Return the name of a row as the hub takes it, with a note where it is another."""
    text = cells.text("name")
    name = fit_name(text)
    if name != text:
        cells.notes.mended("name", f"'{text[:60]}' is no name; taken as '{name}'")
    return name


def id_for(text: str, *, of: str) -> uuid.UUID:
    """Return the id that a row of a table gets beside the one of its own identifier."""
    return id_of_text(f"{of}:{text}")
