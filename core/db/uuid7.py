"""Time-ordered identifiers (RFC 9562, version 7)."""

from __future__ import annotations

import secrets
import threading
import time
import uuid
from datetime import datetime

_uuid7_lock = threading.Lock()


_uuid7_last = 0


def uuid7() -> uuid.UUID:
    """Return a time-ordered UUID (RFC 9562, version 7), increasing within this process.

    The 12 bits after the milliseconds hold a sub-millisecond fraction (method 3 of section 6.2).
    """
    global _uuid7_last
    with _uuid7_lock:
        stamp = max(time.time_ns() * 4096 // 1_000_000, _uuid7_last + 1)
        _uuid7_last = stamp
    milliseconds, fraction = divmod(stamp, 4096)
    high = (milliseconds & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | fraction
    return uuid.UUID(int=high << 64 | 0b10 << 62 | secrets.randbits(62))


def uuid7_at(moment: datetime) -> uuid.UUID:
    """Return the least that `uuid7` makes from this moment on: what is older compares as less.

    So a table of appended rows is cut at an age by its primary key, without an index on a time.
    """
    milliseconds = int(moment.timestamp() * 1000)
    return uuid.UUID(int=(milliseconds << 16 | 0x7000) << 64 | 0b10 << 62)
