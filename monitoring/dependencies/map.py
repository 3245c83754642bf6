"""Which services a map shows, and what leads from which to which (pure)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from monitoring.dependencies.ways import needs_of
from monitoring.models import DependencyKind

# The kind of a link that was seen and not said.
LEARNED = "LEARNED"
# Who is worst decides how a group looks.
_WORST_FIRST = ("OFFLINE", "DEGRADED", "UNKNOWN", "MAINTENANCE", "PENDING", "ONLINE")
# From so many on, those of one type are one box.
MOST_ALONE = 60
MOST_DRAWN = 300


@dataclass(frozen=True, slots=True)
class MapService:
    """A service on the map."""

    id: UUID
    name: str
    type: str
    status: str


@dataclass(frozen=True, slots=True)
class MapLink:
    """A service needs another, as somebody said; one that is LEARNED nobody did."""

    service: UUID
    depends_on: UUID
    kind: str = DependencyKind.HARD


@dataclass(frozen=True, slots=True)
class MapGroup:
    """The services of one type, as one box: how many, and how the worst of them is."""

    type: str
    count: int
    status: str
    worst: int

    @property
    def words(self) -> str:
        return f"{self.count} service{'' if self.count == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class GroupLink:
    """Services of a type need those of another, so many times; `kind` is the strictest."""

    type: str
    depends_on: str
    kind: str
    count: int


def neighbourhood(links: Iterable[MapLink], focus: UUID, steps: int) -> set[UUID]:
    """Return who needs a service and what it needs, both through so many steps, with it."""
    pairs = [(each.service, each.depends_on) for each in links]
    down = needs_of(pairs)
    up = needs_of((needed, needing) for needing, needed in pairs)
    return _within(down, focus, steps) | _within(up, focus, steps)


def _within(needs: Mapping[UUID, Collection[UUID]], start: UUID, steps: int) -> set[UUID]:
    known = edge = {start}
    for _ in range(steps):
        edge = {there for here in edge for there in needs.get(here, ())} - known
        known = known | edge
    return known


def of_type(links: Iterable[MapLink], services: Mapping[UUID, MapService], type_: str) -> set[UUID]:
    """Return the services of a type, and their neighbours."""
    inside = {key for key, each in services.items() if each.type == type_}
    ends = [(each.service, each.depends_on) for each in links]
    beside = {key for pair in ends if not inside.isdisjoint(pair) for key in pair}
    return inside | beside


def group_by_type(
    services: Iterable[MapService], links: Iterable[MapLink]
) -> tuple[list[MapGroup], list[GroupLink]]:
    """Return a box for each type, and one link for all between two of them."""
    by_type: dict[str, list[MapService]] = defaultdict(list)
    type_of: dict[UUID, str] = {}
    for service in services:
        by_type[service.type].append(service)
        type_of[service.id] = service.type
    groups = [_group(type_, members) for type_, members in sorted(by_type.items())]
    kinds: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for link in links:
        ends = (type_of[link.service], type_of[link.depends_on])
        if ends[0] != ends[1]:
            kinds[ends][str(link.kind)] += 1
    return groups, [
        GroupLink(*ends, strictest(counts), counts.total()) for ends, counts in kinds.items()
    ]


def _group(type_: str, members: Sequence[MapService]) -> MapGroup:
    status = worst_of(each.status for each in members)
    return MapGroup(type_, len(members), status, sum(each.status == status for each in members))


def worst_of(statuses: Iterable[str]) -> str:
    """Return the worst of some statuses."""
    return min(statuses, key=lambda each: _WORST_FIRST.index(each) if each in _WORST_FIRST else 0)


def strictest(kinds: Collection[str]) -> str:
    """Return the kind of a line that stands for several."""
    return next((str(kind) for kind in DependencyKind if str(kind) in kinds), LEARNED)
