"""The forms in which a status page is told: HTML, Statuspage's JSON, Atom, and badges (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

from django.template import loader
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.exceptions import NotFound
from monitoring.status_pages.keeping import Kept
from monitoring.status_pages.words import COMPONENT_STATUSES, INDICATOR_TONES
from monitoring.uptime.bars import DayBar, draw_days

ATOM = "http://www.w3.org/2005/Atom"
BADGES = ("status", "uptime")
_TONES = {
    "ONLINE": "good",
    "DEGRADED": "warning",
    "OFFLINE": "bad",
    "MAINTENANCE": "info",
}
_COLORS = {
    "good": "#15803d",
    "warning": "#b45309",
    "bad": "#b91c1c",
    "info": "#1d4ed8",
    "neutral": "#4b5563",
}
# The width of a letter of 11 pixels, nearly.
_LETTER = 6.6


def render_html(kept: Kept, *, base: str, refresh: bool = True) -> str:
    """Return the page; its other forms are at `base`, without a slash at its end."""
    document = kept.document
    groups = [
        {"name": group["name"], "components": [_shown(each) for each in group["components"]]}
        for group in document["groups"]
    ]
    incidents = [_dated(each) for each in document["incidents"]]
    context = {
        **document,
        "groups": groups,
        "tone": INDICATOR_TONES[document["indicator"]],
        "open_incidents": [each for each in incidents if not each["resolved_at"]],
        "past_incidents": [each for each in incidents if each["resolved_at"]],
        "maintenance": [
            {**each, "begins": _time(each["starts_at"]), "ends": _time(each["ends_at"])}
            for each in document["maintenance"]
        ],
        "as_of": _time(document["made_at"]),
        "is_stale": kept.is_stale,
        "base": base,
        "refresh": refresh,
    }
    return loader.render_to_string("status/page.html", context)


def render_index(document: Mapping[str, Any], *, base: str) -> str:
    """Return the list of the public pages."""
    return loader.render_to_string("status/index.html", {**document, "base": base})


def _shown(component: Mapping[str, Any]) -> dict[str, Any]:
    bars = [
        DayBar(datetime.fromisoformat(day), tone, words)
        for day, tone, words in component.get("days", ())
    ]
    return {
        **component,
        "tone": _TONES.get(component["status"], "neutral"),
        "strip": draw_days(bars, what=component["name"]) if bars else "",
    }


def _dated(incident: Mapping[str, Any]) -> dict[str, Any]:
    updates = [{**each, "when": _time(each["at"])} for each in incident["updates"]]
    resolved = incident["resolved_at"]
    return {
        **incident,
        "updates": updates,
        "began": _time(incident["started_at"]),
        "ended": _time(resolved) if resolved else None,
    }


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- JSON ---


def summary_of(kept: Kept, *, url: str) -> dict[str, Any]:
    """Return a page in the shape of Statuspage's summary (v2)."""
    document = kept.document
    return {
        "page": {
            "id": document["name"],
            "name": document["title"],
            "url": url,
            "time_zone": "Etc/UTC",
            "updated_at": document["made_at"],
            "is_stale": kept.is_stale,
        },
        "status": {"indicator": document["indicator"], "description": document["words"]},
        "components": [
            {
                "id": each["id"],
                "name": each["name"],
                "status": COMPONENT_STATUSES.get(each["status"], "unknown"),
                "group": each["group"] or None,
                "position": place,
                "uptime_90_days": each.get("uptime"),
            }
            for place, each in enumerate(components_of(document), start=1)
        ],
        "incidents": [_incident_json(each) for each in document["incidents"]],
        "scheduled_maintenances": [
            {
                "id": each["id"],
                "name": each["title"],
                "status": each["status"],
                "scheduled_for": each["starts_at"],
                "scheduled_until": each["ends_at"],
                "components": each["components"],
            }
            for each in document["maintenance"]
        ],
    }


def _incident_json(each: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": each["id"],
        "name": each["title"],
        "status": each["status"],
        "impact": each["impact"],
        "created_at": each["started_at"],
        "resolved_at": each["resolved_at"],
        "incident_updates": [
            {"status": update["status"], "body": update["text"], "created_at": update["at"]}
            for update in each["updates"]
        ],
    }


def components_of(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the components of a page in their order."""
    for group in document["groups"]:
        yield from group["components"]


# --- Atom ---


def feed_of(kept: Kept, *, url: str) -> bytes:
    """Return the incidents and planned maintenance of a page as an Atom feed."""
    document = kept.document
    feed = ET.Element("feed", xmlns=ATOM)
    _text(feed, "id", f"urn:status:{document['name']}")
    _text(feed, "title", f"{document['title']}: {document['words']}")
    _text(feed, "updated", document["made_at"])
    ET.SubElement(feed, "link", href=url)
    ET.SubElement(ET.SubElement(feed, "author"), "name").text = document["title"]
    for each in document["incidents"]:
        latest = each["updates"][0]["at"] if each["updates"] else each["started_at"]
        told = [f"{u['words']}: {u['text']}".rstrip(": ") for u in each["updates"]]
        _entry(
            feed,
            each["id"],
            f"{each['title']} ({each['words']})",
            max(latest, each["resolved_at"] or latest),
            "\n".join(told) or each["words"],
            url,
        )
    for each in document["maintenance"]:
        words = f"From {each['starts_at']} to {each['ends_at']}: {', '.join(each['components'])}."
        _entry(feed, each["id"], each["title"], each["starts_at"], words, url)
    ET.indent(feed)
    return ET.tostring(feed, encoding="utf-8", xml_declaration=True)


def _entry(feed: ET.Element, key: str, title: str, at: str, words: str, url: str) -> None:
    entry = ET.SubElement(feed, "entry")
    _text(entry, "id", f"urn:uuid:{key}")
    _text(entry, "title", title)
    _text(entry, "updated", at)
    ET.SubElement(entry, "link", href=url)
    _text(entry, "content", words)


def _text(parent: ET.Element, name: str, text: str) -> None:
    # What XML cannot hold is left out.
    ET.SubElement(parent, name).text = "".join(c for c in text if c.isprintable() or c == "\n")


# --- Badges ---


@dataclass(frozen=True, slots=True)
class Badge:
    """What a badge says of what, and in which tone."""

    label: str
    message: str
    tone: str


def badge_of(document: Mapping[str, Any], component: str, kind: str) -> Badge:
    """Return a badge of the component of that id or name; of the page where that is `page`.

    Raises:
        NotFound: the page has no such component, or shows no uptime.
    """
    if component.lower() == "page" and kind == "status":
        return Badge(document["title"], document["words"], INDICATOR_TONES[document["indicator"]])
    wanted = component.lower()
    each = next(
        (c for c in components_of(document) if wanted in (c["id"], c["name"].lower())), None
    )
    if each is None:
        raise NotFound(f"The page has no component '{component[:100]}'.")
    if kind == "status":
        return Badge(each["name"], each["words"].lower(), _TONES.get(each["status"], "neutral"))
    if "uptime" not in each:
        raise NotFound("The page shows no uptime.")
    percent = each["uptime"]
    if percent is None:
        return Badge(f"{each['name']} 90 days", "no data", "neutral")
    tone = "good" if percent >= 99.9 else "warning" if percent >= 99 else "bad"
    return Badge(f"{each['name']} 90 days", f"{percent:g} %", tone)


def badge_json(badge: Badge) -> dict[str, Any]:
    """Return a badge as shields.io reads it."""
    color = _COLORS[badge.tone].removeprefix("#")
    return {"schemaVersion": 1, "label": badge.label, "message": badge.message, "color": color}


def badge_svg(badge: Badge) -> SafeString:
    """Draw a badge; its words are its name for who cannot see it."""
    left = round(len(badge.label) * _LETTER + 14)
    right = round(len(badge.message) * _LETTER + 14)
    return format_html(
        '<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="20" role="img"'
        ' aria-label="{1}: {2}"><title>{1}: {2}</title><clipPath id="r"><rect width="{0}"'
        ' height="20" rx="4"/></clipPath><g clip-path="url(#r)"><rect width="{3}" height="20"'
        ' fill="#374151"/><rect x="{3}" width="{4}" height="20" fill="{5}"/></g><g fill="#fff"'
        ' text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        '<text x="{6}" y="14" textLength="{7}">{1}</text><text x="{8}" y="14"'
        ' textLength="{9}">{2}</text></g></svg>',
        left + right,
        badge.label,
        badge.message,
        left,
        right,
        _COLORS[badge.tone],
        left / 2,
        left - 12,
        left + right / 2,
        right - 12,
    )
