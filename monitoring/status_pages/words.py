"""What statuses are called outside (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.models import Subject
from registry.models import ServiceStatus

COMPONENT_WORDS = {
    ServiceStatus.ONLINE: "Operational",
    ServiceStatus.DEGRADED: "Degraded",
    ServiceStatus.OFFLINE: "Down",
    ServiceStatus.MAINTENANCE: "Under maintenance",
    ServiceStatus.UNKNOWN: "Not known",
    ServiceStatus.PENDING: "Not known",
}
# As Statuspage calls them; that nothing is known it has no word for.
COMPONENT_STATUSES = {
    "ONLINE": "operational",
    "DEGRADED": "degraded_performance",
    "OFFLINE": "major_outage",
    "MAINTENANCE": "under_maintenance",
}
INDICATOR_WORDS = {
    "none": "All systems operational",
    "minor": "Some systems are in trouble",
    "major": "Some systems are down",
    "critical": "All systems are down",
    "maintenance": "Maintenance is under way",
    "unknown": "Nothing is known yet",
}
INDICATOR_TONES = {
    "none": "good",
    "minor": "warning",
    "major": "bad",
    "critical": "bad",
    "maintenance": "info",
    "unknown": "neutral",
}
OUTAGES = {Subject.SERVICE_DOWN: "Down", Subject.SERVICE_DEGRADED: "Degraded"}


def indicator_of(statuses: Sequence[str], *, is_troubled: bool = False) -> str:
    """Return how a page as a whole is, by the statuses of its components.

    One `is_troubled` while an incident is open on it, whatever these say.
    """
    known = [each for each in statuses if each not in ("UNKNOWN", "PENDING")]
    if not known:
        return "unknown"
    if "OFFLINE" in known:
        return "critical" if set(known) == {"OFFLINE"} else "major"
    if "DEGRADED" in known or is_troubled:
        return "minor"
    return "maintenance" if "MAINTENANCE" in known else "none"
