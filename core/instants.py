"""The one way in which a time that comes from outside is read: RFC 3339 (pure)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Any

EXAMPLE = "2030-07-01T09:00:00Z or 2030-07-01T11:00:00+02:00"
_RFC_3339 = re.compile(
    r"(?P<wall>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?P<fraction>\.\d+)?"
    r"(?P<offset>Z|[+-]\d\d:\d\d)?",
    re.IGNORECASE | re.ASCII,
)


class InstantRefused(ValueError):
    """A text that is no time; the sentence says what would be right."""


def parse_instant(value: Any) -> datetime:
    """Return a time in UTC.

    Raises:
        InstantRefused: it has no offset, or see `read_time`.
    """
    read = read_time(value)
    if read.tzinfo is None:
        raise InstantRefused(f"This has no offset from UTC: write it such as {EXAMPLE}.")
    return read


def read_time(value: Any) -> datetime:
    """Return a time in UTC, or as the wall shows it where it has no offset.

    Raises:
        InstantRefused: it is no RFC 3339 time, or none that the calendar holds in UTC too.
    """
    parts = _RFC_3339.fullmatch(value) if isinstance(value, str) else None
    if parts is None:
        raise InstantRefused(f"This is no RFC 3339 time: write it such as {EXAMPLE}.")
    fraction = (parts["fraction"] or "")[:7]
    offset = (parts["offset"] or "").upper()
    try:
        read = datetime.fromisoformat(f"{parts['wall'].upper()}{fraction}{offset}")
    except ValueError:
        raise InstantRefused("The calendar or the clock has no such time.") from None
    return in_utc(read, UTC) if offset else read


def in_utc(moment: datetime, zone: tzinfo) -> datetime:
    """Return a time in UTC; one without an offset is what the wall of `zone` shows.

    Where the wall shows it twice it is the first, where it skips it as much later.

    Raises:
        InstantRefused: it lies before year 1 or after 9999 there.
    """
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        raise InstantRefused("This time is out of range.") from None
