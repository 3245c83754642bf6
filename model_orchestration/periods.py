"""When the windows in which spending is counted begin and end (pure)."""

from __future__ import annotations

import uuid
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

# A rolling window is counted in so many pieces: one that is partly over counts whole.
PIECES = 60
MINUTE_SUFFIX, ROLLING_WORD = ":MINUTE", ":ROLLING:"
_NAMESPACE = uuid.UUID("7a1c1e0e-5f5b-4c57-9d35-0f4b2a1f6a55")


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time in which something is counted.

    `since` is from when on earlier windows of the series count too, where it is a rolling one.
    """

    series: str
    starts_at: datetime
    ends_at: datetime
    since: datetime | None = None

    @property
    def id(self) -> uuid.UUID:
        """The id of its row, which is the same for everybody."""
        return _id_of(self.series, self.starts_at)


@lru_cache(maxsize=4096)  # each request asks several times for the same few
def _id_of(series: str, starts_at: datetime) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, f"{series}@{starts_at.isoformat()}")


def zone_of(name: str) -> zoneinfo.ZoneInfo:
    """Return a time zone of the IANA database.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"There is no time zone '{name[:64]}'. Use one such as Europe/Berlin or UTC."
        ) from None


def day_of(series: str, zone: str, now: datetime) -> Window:
    """Return the window of the day in a zone."""
    local = now.astimezone(zone_of(zone))
    first = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    # A day may have 23 or 25 hours: the next midnight is one of the calendar.
    following = (first.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=first.tzinfo)
    return Window(f"{series}:DAY:{zone}", first.astimezone(UTC), following.astimezone(UTC))


def month_of(series: str, zone: str, now: datetime) -> Window:
    """Return the window of the calendar month in a zone."""
    local = now.astimezone(zone_of(zone))
    first = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    year, month = (first.year + 1, 1) if first.month == 12 else (first.year, first.month + 1)
    following = first.replace(year=year, month=month)
    return Window(f"{series}:MONTH:{zone}", first.astimezone(UTC), following.astimezone(UTC))


def minute_of(series: str, now: datetime) -> Window:
    """Return the window of the minute of the clock."""
    begin = now.astimezone(UTC).replace(second=0, microsecond=0)
    return Window(f"{series}{MINUTE_SUFFIX}", begin, begin + timedelta(minutes=1))


def piece_of(series: str, seconds: int, now: datetime) -> Window:
    """Return the window of the piece of a rolling period that is counted now."""
    length = max(seconds // PIECES, 1)
    begin = int(now.timestamp()) // length * length
    starts_at = datetime.fromtimestamp(begin, UTC)
    since = starts_at - timedelta(seconds=seconds)
    ends_at = starts_at + timedelta(seconds=length)
    return Window(f"{series}{ROLLING_WORD}{seconds}", starts_at, ends_at, since)
