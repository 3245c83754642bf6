"""Pages of services are what the serializer says of each, whatever state they are in."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.renderers import JSONRenderer

from core.api import list_items
from core.api.rendering import PartlyRenderedJSON, RenderedItems
from core.api.serializers import represent
from registry.api.service_pages import render_page
from registry.api.service_serializers import ServiceSerializer
from registry.models import Service, ServiceInstance
from tests import factories

URL = "http://a.test"


def test_items_are_put_where_they_belong() -> None:
    data: dict[str, Any] = {"total": 2, "items": [{"a": 1}, {"b": "ü"}], "next": None}
    rendered = RenderedItems(JSONRenderer().render(item) for item in data["items"])
    whole = PartlyRenderedJSON().render({**data, "items": rendered})
    assert whole == JSONRenderer().render(data)
    empty = PartlyRenderedJSON().render({"items": RenderedItems()})
    assert empty == b'{"items":[]}'


@pytest.mark.django_db
def test_a_page_is_what_is_so_now() -> None:
    past = timezone.now() - timedelta(hours=1)
    factories.make_service("plain", urls=(URL, "http://b.test"), actions=("run", "stop"))
    factories.make_service("bare", actions=("run",))
    factories.make_service("down", urls=(URL,), instance={"status": "OFFLINE", "at": past})
    factories.make_service("resting", urls=(URL,), maintenance_since=past, tags=['"', "\\"])
    keys = list(Service.objects.order_by("-name").values_list("pk", flat=True))

    def changed() -> bytes:
        rows = {row.pk: row for row in Service.objects.with_parts()}
        items = [represent(ServiceSerializer, rows[key]) for key in keys if key in rows]
        rendered = render_page(keys)
        assert isinstance(rendered, RenderedItems)
        assert [*rendered] == [JSONRenderer().render(item) for item in items]
        return b",".join(rendered)

    states = {changed()}
    for change in (
        lambda: ServiceInstance.objects.update(last_heartbeat_at=past, metadata={"load": 1}),
        lambda: Service.objects.filter(name="plain").update(description="other"),
        lambda: ServiceInstance.objects.filter(url="http://b.test").update(weight=7),
        lambda: ServiceInstance.objects.filter(url=URL).update(status="DEGRADED"),
        lambda: Service.objects.filter(name="bare").delete(),
    ):
        change()
        states.add(changed())
    assert len(states) == 6


@pytest.mark.django_db
def test_what_does_not_fit_is_cut(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    factories.make_service("large", urls=(URL,), metadata={"text": "x" * 5000})
    monkeypatch.setattr(list_items, "LARGEST_LIST_BYTES", 13_000)
    monkeypatch.setattr(list_items.fit, "__kwdefaults__", {"most": 13_000})
    (item,) = json.loads(api.get("/registry/services").content)["items"]
    assert "metadata" not in item
    assert item["cut"]["members"].keys() == {"metadata"}
