"""Limits of what is registered hold on every way in, and say which setting they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from core.exceptions import ValidationFailed
from integration_site.facade import SystemIntegrationFacade
from registry import services
from registry.models import Service
from registry.services import Heartbeat, Registration
from tests import factories

pytestmark = pytest.mark.django_db
LARGE = {"text": "ä" * 60}
TAGS = ["a", "b", "c"]
SENTENCES = {
    "metadata": "Has 132 bytes of JSON; at most 100 are taken (METADATA_MAX_BYTES).",
    "tags": "There are 3; at most 2 are taken (TAGS_MAX).",
}


@pytest.fixture(autouse=True)
def low_limits(settings: Any) -> None:
    settings.METADATA_MAX_BYTES, settings.TAGS_MAX = 100, 2
    settings.INSTANCES_PER_SERVICE, settings.SERVICES_PER_OWNER = 2, 2


@pytest.fixture
def api() -> Any:
    factories.make_service("planner", urls=("http://a",))
    return factories.caller("OPERATOR", name="ops")


OVER_HTTP: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "registration": lambda api, more: api.post("/registry/services", {"name": "new", **more}),
    "refresh": lambda api, more: api.post("/registry/services", {"name": "planner", **more}),
    "change": lambda api, more: api.patch("/registry/services/planner", more),
    "replacement": lambda api, more: api.put(
        "/registry/services/planner", {"name": "planner", **more}
    ),
}


@pytest.mark.parametrize("way", OVER_HTTP.values(), ids=OVER_HTTP)
@pytest.mark.parametrize(("field", "value"), [("metadata", LARGE), ("tags", TAGS)])
def test_what_is_too_large_is_refused_over_http(
    api: Any, way: Callable[..., Any], field: str, value: Any
) -> None:
    answer = way(api, {field: value})
    assert (answer.status_code, answer.json()["errors"]) == (400, {field: [SENTENCES[field]]})
    assert not Service.objects.filter(name="new").exists()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/registry/services/planner/heartbeat", {"metadata": LARGE}),
        ("/registry/services/planner/instances", {"url": "http://b", "metadata": LARGE}),
        ("/workflows", {"name": "w", "steps": [{"id": "w", "type": "WAIT", "seconds": 1}],
                        "metadata": LARGE}),
    ],
)  # fmt: skip
def test_metadata_of_others_is_limited_too(api: Any, path: str, body: dict[str, Any]) -> None:
    answer = api.post(path, body)
    assert (answer.status_code, answer.json()["errors"]) == (
        400, {"metadata": [SENTENCES["metadata"]]},
    )  # fmt: skip


def test_programs_in_the_process_are_held_to_them_too() -> None:
    facade = SystemIntegrationFacade()
    with pytest.raises(ValidationFailed, match="METADATA_MAX_BYTES"):
        facade.register_service(Registration(name="new", fields={"metadata": LARGE}))
    with pytest.raises(ValidationFailed, match="METADATA_MAX_BYTES"):
        Heartbeat(metadata=LARGE)


@pytest.fixture
def page() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_admin_shows_them_at_their_fields(page: Client) -> None:
    form = {"name": "new", "type": "CUSTOM", "criticality": "CRITICAL", "liveness": "AUTO"}
    answer = page.post(
        "/admin/registry/service/add/",
        {**form, "tags": ", ".join(TAGS), "metadata": '{"text": "' + "x" * 120 + '"}'},
    )
    errors = answer.context["adminform"].form.errors
    assert errors["tags"] == [SENTENCES["tags"]]
    assert errors["metadata"] == [SENTENCES["metadata"]]
    assert SENTENCES["tags"] in answer.content.decode()


def test_service_has_so_many_instances(api: Any, page: Client) -> None:
    post = {"name": "planner", "url": "http://b"}
    assert api.post("/registry/services", post).status_code == 201
    sentence = (
        "'planner' has 2 instances, as many as a service may have (INSTANCES_PER_SERVICE)."
        " Remove some first."
    )
    for path, body in (
        ("/registry/services", {"name": "planner", "url": "http://c"}),
        ("/registry/services/planner/instances", {"url": "http://c"}),
    ):
        answer = api.post(path, body)
        assert (answer.status_code, answer.json()["errors"]) == (400, {"url": [sentence]})
    assert api.post("/registry/services", post).status_code == 200, "that one is known"
    planner = Service.objects.get(name="planner")
    answer = page.post(
        "/admin/registry/serviceinstance/add/",
        {"service": str(planner.pk), "url": "http://c", "weight": 1, "ttl_seconds": 30},
    )
    assert sentence in answer.content.decode().replace("&#x27;", "'")


def test_owner_has_so_many_services(api: Any) -> None:
    for name in ("one", "two"):
        assert api.post("/registry/services", {"name": name}).status_code == 201
    refused = api.post("/registry/services", {"name": "three"})
    assert refused.status_code == 400
    assert refused.json()["errors"] == {
        "owner": [
            "'ops' owns 2 services, as many as one may own (SERVICES_PER_OWNER). Remove some first."
        ]
    }
    assert api.post("/registry/services", {"name": "one", "tags": ["x"]}).status_code == 200
    assert factories.caller("OPERATOR").post("/registry/services", {"name": "three"}).data["id"]
    # Nor is one given a service that is beyond.
    three = services.get_service("three")
    with pytest.raises(ValidationFailed, match="SERVICES_PER_OWNER"):
        services.update_service(three, Registration(name="three", fields={"owner": "ops"}))
    api.delete("/registry/services/one")
    assert api.post("/registry/services", {"name": "four"}).status_code == 201
