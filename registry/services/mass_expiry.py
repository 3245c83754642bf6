"""Limits how much of the fleet is believed gone at once (pure)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Instances by what is known of them.

    `live` counts all that are not OFFLINE, with those that are `due` and those already suspected;
    `expired` those that fell silent within the last minutes and did not come back.
    """

    live: int
    due: int
    suspected: int
    expired: int


def room_to_expire(fleet: Fleet, *, percent: int, least: int) -> int:
    """Return how many of those that are due may be taken offline; the rest are to be suspected.

    When more than `percent` of the fleet, and more than `least`, fall silent together, the fault is
    more likely between them and the hub. What expired shortly before counts, as beats of one fault
    stop one by one; and while some are suspected, nobody else is given up.
    """
    if percent >= 100:
        return fleet.due
    if fleet.suspected:
        return 0
    most = max(least, (fleet.live + fleet.expired) * percent // 100)
    return max(0, min(fleet.due, most - fleet.expired))
