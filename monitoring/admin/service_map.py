"""The map of services: drawn on the server, each box a link, with a table of the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from core.admin.formatting import status_badge, status_word, tone_of
from core.admin.graph_layout import (
    NODE_HEIGHT,
    NODE_WIDTH,
    Diagram,
    Edge,
    Node,
    PlacedEdge,
    PlacedNode,
    lay_out,
)
from core.admin.graph_paths import ARROW, cut, detour_path, path_of, px
from core.admin.pages import page_of_id, render_page
from core.identifiers import read_id
from monitoring.dependencies.learned import read_learned
from monitoring.dependencies.map import (
    LEARNED,
    MOST_ALONE,
    MOST_DRAWN,
    MapGroup,
    MapLink,
    MapService,
    group_by_type,
    neighbourhood,
    of_type,
)
from monitoring.models import ServiceDependency
from registry.models import Service, ServiceType

MOST_LINKS = 5_000
WIDEST = 6
MOST_WAYPOINTS = 60
LONGEST_NAME = 25
STEPS = (1, 2, 3)


@dataclass(frozen=True)
class MapBox:
    """A box of the picture: where it leads, and how it is."""

    link: str
    name: str
    status: str
    detail: str


@dataclass(frozen=True)
class MapQuery:
    """What of the map is asked for."""

    focus: UUID | None
    steps: int
    type: str
    whole: bool

    @classmethod
    def of(cls, request: HttpRequest) -> MapQuery:
        """Return what a request asks for; what cannot be read is as if it were not there."""
        given = request.GET
        steps = given.get("steps", "")
        type_ = given.get("type", "").upper()
        return cls(
            focus=read_id(given.get("focus", "")),
            steps=int(steps) if steps in map(str, STEPS) else 1,
            type=type_ if type_ in ServiceType.values else "",
            whole=given.get("all") == "1",
        )


def show_map(admin: Any, request: HttpRequest) -> HttpResponse:
    """Show the services that are linked: all, those of a type, or those around one."""
    asked = MapQuery.of(request)
    links = read_links(now=timezone.now())
    services = read_services(links, asked.focus)
    shown = _chosen(asked, services, links)
    grouped = shown is None
    context = (
        _grouped(services, links) if shown is None else _alone(_only(services, shown), links, asked)
    )
    return render_page(
        admin,
        request,
        "console/service_map.html",
        title="Service map",
        asked=asked,
        grouped=grouped,
        focus=services.get(asked.focus) if asked.focus else None,
        type_label=ServiceType(asked.type).label if asked.type else "",
        count=len(services),
        offered=sorted((each.name, str(each.id)) for each in services.values())[:MOST_DRAWN],
        step_choices=STEPS,
        may_draw_all=len(services) <= MOST_DRAWN,
        **context,
    )


def read_links(*, now: datetime) -> list[MapLink]:
    """Return which service needs which: what somebody said, then what was seen."""
    rows = ServiceDependency.objects.order_by("service_id", "depends_on_id")
    said = [MapLink(*row) for row in rows.values_list("service", "depends_on", "kind")[:MOST_LINKS]]
    seen = [MapLink(e.service.pk, e.depends_on.pk, LEARNED) for e in read_learned(now=now)]
    return [*said, *seen]


def read_services(links: Iterable[MapLink], focus: UUID | None) -> dict[UUID, MapService]:
    """Return the services at the ends of links, and the one that is looked at."""
    needed = ServiceDependency.objects.order_by()
    seen = {key for e in links if e.kind == LEARNED for key in (e.service, e.depends_on)}
    among = Q(pk__in=needed.values("service")) | Q(pk__in=needed.values("depends_on"))
    rows = Service.objects.filter(among | Q(pk__in=seen) | Q(pk=focus)).order_by("name")
    found = (MapService(*row) for row in rows.values_list("pk", "name", "type", "status"))
    return {each.id: each for each in found}


def _chosen(
    asked: MapQuery, services: Mapping[UUID, MapService], links: Sequence[MapLink]
) -> set[UUID] | None:
    """Return whom the picture shows; None where those of one type are one box."""
    if asked.focus is not None and asked.focus in services:
        return neighbourhood(links, asked.focus, asked.steps)
    if asked.type:
        return of_type(links, services, asked.type)
    many = len(services) > (MOST_DRAWN if asked.whole else MOST_ALONE)
    return None if many else set(services)


def _only(services: Mapping[UUID, MapService], shown: set[UUID]) -> dict[UUID, MapService]:
    kept = [each for key, each in services.items() if key in shown]
    return {each.id: each for each in kept[:MOST_DRAWN]}


def _alone(
    services: Mapping[UUID, MapService], links: Sequence[MapLink], asked: MapQuery
) -> dict[str, Any]:
    inside = [each for each in links if each.service in services and each.depends_on in services]
    boxes = {
        str(each.id): MapBox(
            page_of_id(Service, each.id),
            each.name,
            each.status,
            f"{status_word(each.status)} · {_type_word(each.type)}",
        )
        for each in services.values()
    }
    edges = [(str(each.service), str(each.depends_on), str(each.kind), "") for each in inside]
    return {
        "picture": draw_map(boxes, edges, marked=str(asked.focus or "")),
        "rows": _rows(services, inside),
    }


def _rows(services: Mapping[UUID, MapService], links: Iterable[MapLink]) -> list[dict[str, Any]]:
    needs: dict[UUID, list[str]] = defaultdict(list)
    users: dict[UUID, list[str]] = defaultdict(list)
    for each in links:
        needs[each.service].append(f"{services[each.depends_on].name} ({each.kind.lower()})")
        users[each.depends_on].append(services[each.service].name)
    return [
        {
            "service": service,
            "badge": status_badge(service.status),
            "needs": sorted(needs[service.id]),
            "users": sorted(users[service.id]),
            "around": around(focus=str(service.id)),
        }
        for service in services.values()
    ]


def _grouped(services: Mapping[UUID, MapService], links: Iterable[MapLink]) -> dict[str, Any]:
    groups, between = group_by_type(services.values(), links)
    boxes = {
        each.type: MapBox(
            around(type=each.type), _type_word(each.type), each.status, _detail_of(each)
        )
        for each in groups
    }
    edges = [(e.type, e.depends_on, e.kind, f"{e.count} times") for e in between]
    rows = [
        {"group": each, "badge": status_badge(each.status), "link": boxes[each.type].link,
         "name": boxes[each.type].name}
        for each in groups
    ]  # fmt: skip
    return {"picture": draw_map(boxes, edges), "rows": rows}


def _detail_of(group: MapGroup) -> str:
    word = status_word(group.status).lower()
    return (
        f"{group.words}, {group.worst} {word}"
        if group.worst < group.count
        else (f"{group.words}, all {word}" if group.count > 1 else f"{group.words}, {word}")
    )


def _type_word(type_: str) -> str:
    return str(ServiceType(type_).label) if type_ in ServiceType.values else status_word(type_)


def around(**asked: str) -> str:
    """Return the address of the map of a part of the services."""
    return f"{reverse('admin:service_map')}?{urlencode(asked)}"


# --- The picture ---


def draw_map(
    boxes: Mapping[str, MapBox],
    edges: Iterable[tuple[str, str, str, str]],
    *,
    marked: str = "",
) -> SafeString:
    """Draw boxes, who needs others above what is needed; edges are both ends, kind and words."""
    nodes = tuple(Node(key, box.name, box.detail) for key, box in boxes.items())
    graph = Diagram(nodes, tuple(Edge(*each) for each in edges))
    layout = lay_out(graph, widest=WIDEST, most_waypoints=MOST_WAYPOINTS)
    if not layout.nodes:
        return SafeString("")
    return format_html(
        '<svg class="hub-graph" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="group"'
        ' style="--graph-width: {0}px" aria-label="Service map">{2}{3}{4}</svg>',
        f"{layout.width:.0f}",
        f"{layout.height:.0f}",
        ARROW,
        format_html_join("", "{}", ((_edge(each),) for each in layout.edges)),
        format_html_join(
            "", "{}", ((_box(each, boxes[each.node.id], marked),) for each in layout.nodes)
        ),
    )


def _edge(placed: PlacedEdge) -> SafeString:
    line = detour_path(placed.points) if placed.is_back else path_of(placed.points)
    return format_html(
        '<path class="hub-edge" data-kind="{}" d="{}" marker-end="url(#hub-arrow)"/>',
        placed.edge.kind,
        line,
    )


def _box(placed: PlacedNode, box: MapBox, marked: str) -> SafeString:
    return format_html(
        '<a href="{}"><g class="hub-node" data-tone="{}"{} transform="translate({} {})">'
        '<title>{}: {}</title><rect width="{}" height="{}" rx="6"/>'
        '<text class="hub-node-name" x="12" y="19">{}</text>'
        '<text class="hub-node-detail" x="12" y="35">{}</text></g></a>',
        box.link,
        tone_of(box.status),
        SafeString(" data-marked") if placed.node.id == marked else "",
        px(placed.x),
        px(placed.y),
        box.name,
        box.detail,
        NODE_WIDTH,
        NODE_HEIGHT,
        cut(box.name, LONGEST_NAME),
        cut(box.detail, 33),
    )
