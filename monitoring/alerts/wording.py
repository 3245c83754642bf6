"""The words of a message: what is wrong, since when, how bad, and where to look (pure)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from core.durations import in_words
from monitoring.models import DeliveryReason, Incident, Severity

MOST_LISTED = 10
LONGEST_CAUSE = 400
LONGEST_TITLE = 260


@dataclass(frozen=True, slots=True)
class Wording:
    """A message: its title, its text and its severity."""

    title: str
    text: str
    severity: Severity


def word_message(
    reason: DeliveryReason,
    firing: Sequence[Incident],
    ended: Sequence[Incident],
    parts: Mapping[UUID, Collection[str]],
    *,
    now: datetime,
    public_url: str,
) -> Wording:
    """Return the words on incidents that are open, and on those that are over.

    `parts` are the names of the services that an outage takes along, by its incident.
    """
    worst = _worst(firing or ended)
    # The link of the message itself leads to the first.
    public_url = public_url if len(firing) + len(ended) > 1 else ""
    lines = [
        _line(each, parts.get(each.pk, ()), now=now, public_url=public_url)
        for each in firing[:MOST_LISTED]
    ]
    lines += _more(len(firing))
    if ended:
        lines += ["Over:"] if firing else []
        lines += [_over_line(each, public_url=public_url) for each in ended[:MOST_LISTED]]
        lines += _more(len(ended))
    title = _title(reason, firing, ended, now=now)[:LONGEST_TITLE] + _along(firing, parts)
    return Wording(title, "\n\n".join(lines), worst)


def word_test(channel: str) -> Wording:
    """Return the words of a test."""
    return Wording(
        f"Test of the channel '{channel}'",
        "Somebody asked the hub whether messages arrive here. Nothing is wrong.",
        Severity.WARNING,
    )


def _title(
    reason: DeliveryReason,
    firing: Sequence[Incident],
    ended: Sequence[Incident],
    *,
    now: datetime,
) -> str:
    if reason == DeliveryReason.DIGEST:
        return f"After quiet hours: {len(firing):,} open, {len(ended):,} over"
    if not firing:
        return f"Resolved: {_named(ended)}"
    if reason == DeliveryReason.REPEAT:
        since = min(each.opened_at for each in firing)
        return f"Still, for {_span(now - since)}: {_named(firing)}"
    if reason == DeliveryReason.ESCALATION:
        since = min(each.nobodys_since for each in firing)
        return f"Nobody sees to it, for {_span(now - since)}: {_named(firing)}"
    return f"{_worst(firing).label}: {_named(firing)}"


def _named(incidents: Sequence[Incident]) -> str:
    first = str(incidents[0])
    return f"{first} and {len(incidents) - 1} more" if len(incidents) > 1 else first


def _worst(incidents: Sequence[Incident]) -> Severity:
    severe = any(each.severity == Severity.CRITICAL for each in incidents)
    return Severity.CRITICAL if severe else Severity.WARNING


def _along(firing: Sequence[Incident], parts: Mapping[UUID, Collection[str]]) -> str:
    """Return how many services what is open takes along."""
    count = len({name for each in firing for name in parts.get(each.pk, ())})
    return f" and {count:,} that depend on {'it' if len(firing) == 1 else 'them'}" if count else ""


def _line(incident: Incident, taken: Collection[str], *, now: datetime, public_url: str) -> str:
    said = [
        f"{incident} ({incident.get_severity_display()},"
        f" since {incident.opened_at:%Y-%m-%d %H:%M:%S} UTC, for"
        f" {_span(now - incident.opened_at)})",
        incident.cause[:LONGEST_CAUSE],
    ]
    if incident.acknowledged_by and not incident.is_resolved:
        said.append(f"{incident.acknowledged_by} sees to it.")
    if taken:
        named = ", ".join(sorted(taken)[:MOST_LISTED])
        more = f" and {len(taken) - MOST_LISTED:,} more" if len(taken) > MOST_LISTED else ""
        said.append(f"It takes along what depends on it: {named}{more}.")
    return "\n".join([*said, *_link(incident, public_url)])


def _over_line(incident: Incident, *, public_url: str) -> str:
    lasted = ""
    if incident.resolved_at is not None:
        lasted = f" after {_span(incident.resolved_at - incident.opened_at)}"
    return "\n".join(
        [f"{incident} ended{lasted}. {incident.resolution}".strip(), *_link(incident, public_url)]
    )


def _link(incident: Incident, public_url: str) -> list[str]:
    return [link_of(incident, public_url)] if public_url else []


def link_of(incident: Incident, public_url: str) -> str:
    """Return the address of an incident's page in the admin."""
    return f"{public_url}/admin/monitoring/incident/{incident.pk}/change/"


def _more(count: int) -> list[str]:
    return [f"And {count - MOST_LISTED:,} more."] if count > MOST_LISTED else []


def _span(span: timedelta) -> str:
    return in_words(span.total_seconds())
