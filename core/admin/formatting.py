"""How values look in the admin: statuses, times, durations and JSON."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.durations import in_words

# Every status of every vocabulary has one tone, so that a colour means the same on every page.
TONES = {
    "good": (
        "ONLINE",
        "COMPLETED",
        "ACTIVE",
        "CONNECTED",
        "CLOSED",
        "ADDED",
        "USABLE",
        "RESOLVED",
        "ACCEPTED",
        "CURRENT",
        "SENT",
        "GRANTED",
        "SETTLED",
        "UP",
        "OK",
    ),
    "warning": (
        "DEGRADED",
        "WAITING",
        "NEEDS_REVIEW",
        "PENDING",
        "QUEUED",
        "PAUSED",
        "COMPENSATING",
        "HALF_OPEN",
        "CHANGED",
        "EXPIRING",
        "NO_SECRET",
        "WARNING",
        "SUSPECT",
        "ACKNOWLEDGED",
        "REFUSED",
        "DEPRECATED",
        "ABANDONED",
        "INVESTIGATING",
        "IDENTIFIED",
        "MONITORING",
        "RECOVERING",
    ),
    "bad": (
        "OFFLINE",
        "FAILED",
        "ERROR",
        "OPEN",
        "FORCED_OPEN",
        "REMOVED",
        "EXPIRED",
        "UNREADABLE",
        "CRITICAL",
        "RETIRED",
        "FIRING",
        "DEAD",
        "MISSING",
        "CUT",
        "DOWN",
        "FAIL",
    ),
    "info": (
        "RUNNING",
        "STARTED",
        "CANCELLED_RUNNING",
        "MAINTENANCE",
        "DISABLED",
        "SENDING",
        "ADMITTED",
        "IN_PROGRESS",
    ),
}
_TONE_OF = {status: tone for tone, statuses in TONES.items() for status in statuses}

MAX_SHOWN_JSON = 100_000
NOTHING = "–"


def tone_of(status: str) -> str:
    """Return the tone of a status: good, warning, bad, info, or neutral for the rest."""
    return _TONE_OF.get(str(status), "neutral")


def status_word(status: str) -> str:
    return str(status).replace("_", " ").capitalize()


def status_badge(status: str) -> SafeString:
    """Return a status as a colour and a word."""
    return format_html(
        '<span class="hub-status" data-tone="{}">{}</span>', tone_of(status), status_word(status)
    )


def age_in_words(moment: datetime, *, now: datetime) -> str:
    """Return how far a moment is from now, with one unit: 12 s ago, in 3 min."""
    seconds = (now - moment).total_seconds()
    words = "now" if abs(seconds) < 1 else _one_unit(abs(seconds))
    if words == "now":
        return words
    return f"{words} ago" if seconds > 0 else f"in {words}"


def _one_unit(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def moment(value: datetime | None, *, now: datetime | None = None) -> SafeString | str:
    """Return a moment as its age, with the exact UTC time on hover; a dash for none."""
    if value is None:
        return NOTHING
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        value.isoformat(),
        f"{value:%Y-%m-%d %H:%M:%S}",
        age_in_words(value, now=now or timezone.now()),
    )


def duration(started_at: datetime | None, completed_at: datetime | None) -> str:
    """Return the time from start to end, so far when it has not ended; a dash before the start."""
    if started_at is None:
        return NOTHING
    if completed_at is None:
        return f"{in_words((timezone.now() - started_at).total_seconds())} so far"
    return in_words((completed_at - started_at).total_seconds())


def milliseconds(value: float) -> str:
    """Return a duration in milliseconds, as a person says it; what took some time is never 0."""
    if 0 < value < 0.5:
        return "<1 ms"
    return in_words(value / 1000)


_ARROW = format_html(
    '<svg class="hub-flow-arrow" viewBox="0 0 28 10" role="img" aria-label="{}"><path'
    ' d="M0 5h25M21 1l4 4-4 4" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>',
    "leads to",
)


def flow(origin: str, target: str, call: str) -> SafeString:
    """Draw what leads to what: two boxes and an arrow; `call` is what happens there."""
    return format_html(
        '<span class="hub-flow"><span class="hub-flow-end">{}</span>{}'
        '<span class="hub-flow-end">{}<span class="hub-flow-call">{}</span></span></span>',
        origin,
        _ARROW,
        target,
        call,
    )


def json_text(value: Any) -> str:
    """Return JSON as indented text, cut where it is too long to read on a page."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    if len(text) <= MAX_SHOWN_JSON:
        return text
    return f"{text[:MAX_SHOWN_JSON]}\n… {len(text) - MAX_SHOWN_JSON} more characters"


def json_block(value: Any) -> SafeString | str:
    """Return JSON readable on a page; a dash for nothing."""
    if value in (None, "", [], {}):
        return NOTHING
    return format_html('<pre class="hub-json">{}</pre>', json_text(value))


def event_badge(event: Any) -> SafeString:
    """Return what happened to a credential, in red where somebody was refused."""
    tone = {"DENIED": "bad", "EXPIRING": "warning"}.get(str(event.kind), "neutral")
    word = event.get_kind_display()
    return format_html('<span class="hub-status" data-tone="{}">{}</span>', tone, word)
