"""The map of services: who is on it, and that each box leads somewhere."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.admin.graph_layout import Diagram, Edge, Node, lay_out
from monitoring.admin import service_map
from monitoring.dependencies.map import (
    MapLink,
    MapService,
    group_by_type,
    neighbourhood,
    of_type,
    worst_of,
)
from monitoring.models import ServiceDependency
from tests import factories

MAP = "/admin/monitoring/servicedependency/map"


def key(name: str) -> UUID:
    return UUID(int=ord(name))


LINKS = [MapLink(key(a), key(b), kind) for a, b, kind in (
    ("a", "b", "HARD"), ("b", "c", "SOFT"), ("c", "d", "HARD"), ("x", "c", "SOFT"),
)]  # fmt: skip
SERVICES = {
    key(name): MapService(key(name), name, type_, status)
    for name, type_, status in (
        ("a", "WEB", "ONLINE"), ("b", "API", "ONLINE"), ("c", "API", "OFFLINE"),
        ("d", "STORE", "DEGRADED"), ("x", "WEB", "ONLINE"),
    )
}  # fmt: skip


@pytest.mark.once
@pytest.mark.parametrize(
    ("focus", "steps", "expected"),
    [("b", 1, "abc"), ("b", 2, "abcd"), ("c", 1, "bcdx"), ("c", 2, "abcdx"), ("d", 1, "cd")],
)
def test_who_is_around_a_service(focus: str, steps: int, expected: str) -> None:
    found = neighbourhood(LINKS, key(focus), steps)
    assert "".join(sorted(chr(each.int) for each in found)) == expected


@pytest.mark.once
def test_services_of_a_type_are_one_box_as_the_worst_of_them() -> None:
    groups, between = group_by_type(SERVICES.values(), LINKS)
    assert [(each.type, each.words, each.status, each.worst) for each in groups] == [
        ("API", "2 services", "OFFLINE", 1),
        ("STORE", "1 service", "DEGRADED", 1),
        ("WEB", "2 services", "ONLINE", 2),
    ]
    assert {(e.type, e.depends_on, e.kind, e.count) for e in between} == {
        ("WEB", "API", "HARD", 2), ("API", "STORE", "HARD", 1),
    }  # fmt: skip
    assert {chr(each.int) for each in of_type(LINKS, SERVICES, "STORE")} == {"c", "d"}
    assert worst_of(["ONLINE", "MAINTENANCE"]) == "MAINTENANCE"


@pytest.mark.once
def test_no_layer_is_wider_than_it_may_be_and_lines_still_lead_down() -> None:
    nodes = tuple(Node(str(n), str(n)) for n in range(20))
    edges = tuple(Edge("0", str(n)) for n in range(1, 20))
    layout = lay_out(Diagram(nodes, edges), widest=4)
    rows: dict[float, int] = {}
    for each in layout.nodes:
        rows[each.y] = rows.get(each.y, 0) + 1
    assert max(rows.values()) == 4
    assert all(not edge.is_back for edge in layout.edges)
    assert all(edge.points[0][1] < edge.points[-1][1] for edge in layout.edges)


@pytest.mark.django_db
def test_the_map_leads_to_services_and_narrows(
    admin_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Nobody said yet" in admin_client.get(MAP).content.decode()
    made = [factories.make_service(f"s{n}", type="CUSTOM") for n in range(4)]
    made.append(factories.make_service("far", type="API_GATEWAY"))
    for one, other in pairwise(made):
        ServiceDependency.objects.create(service=one, depends_on=other, kind="SOFT")
    with CaptureQueriesContext(
        connection,
    ) as few:
        shown = admin_client.get(MAP).content.decode()
    assert all(f"/admin/registry/service/{each.pk}/change/" in shown for each in made)
    assert shown.count('data-kind="SOFT"') == 5  # four lines and the legend
    around = admin_client.get(f"{MAP}?focus={made[0].pk}").content.decode()
    assert "Around s0" in around
    assert f"/admin/registry/service/{made[3].pk}/change/" not in around
    monkeypatch.setattr(service_map, "MOST_ALONE", 4)
    with CaptureQueriesContext(connection) as grouped:
        by_type = admin_client.get(MAP).content.decode()
    assert "4 services, all" in by_type
    assert "type=API_GATEWAY" in by_type
    assert len(grouped) == len(few)
    gateways = admin_client.get(f"{MAP}?type=api_gateway").content.decode()
    assert f"/admin/registry/service/{made[3].pk}/change/" in gateways
    assert f"/admin/registry/service/{made[0].pk}/change/" not in gateways
    assert "All services that are linked" in admin_client.get(f"{MAP}?all=1").content.decode()
    for nonsense in ("focus=x", "steps=99", "type=none", f"focus={UUID(int=1)}"):
        assert admin_client.get(f"{MAP}?{nonsense}").status_code == 200
