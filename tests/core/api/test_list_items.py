"""Lists leave out what is large, and are never larger than 2 MB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from drf_spectacular.generators import SchemaGenerator
from hypothesis import given
from hypothesis import strategies as st
from rest_framework import serializers

from core.api.list_items import LARGEST_LIST_BYTES, fit, size_of
from core.api.pagination import MOST_PER_PAGE
from core.api.serializers import AnswerSerializer
from registry.models import ServiceAction, ServiceInstance
from tests import factories
from workflows.models import EventKind, WorkflowEvent, WorkflowExecution, WorkflowStep

LARGE = {"text": "ä" * 100_000}  # 200 kB as it is answered


class Row:
    pk = "1"


class Shown(AnswerSerializer):
    left_out = ("output",)
    large = ("input", "text")
    whole_at = "/rows/{row.pk}"


# What is cut


@given(
    st.lists(
        st.fixed_dictionaries(
            {"id": st.integers(0, 9), "input": st.text(max_size=400)},
            optional={"output": st.lists(st.integers(), max_size=40), "text": st.text(max_size=99)},
        ),
        max_size=12,
    ),
    st.integers(10_000 + 12 * 250, 16_000),
)
def test_items_fit_and_say_what_they_had(items: list[dict[str, Any]], most: int) -> None:
    before = [dict(item) for item in items]
    after = fit(items, [Row()] * len(items), Shown, most=most)
    assert size_of(after) + 10_000 <= most
    for was, item in zip(before, after, strict=True):
        cut = item.pop("cut", {"members": {}, "whole_at": "/rows/1"})
        assert cut["whole_at"] == "/rows/1"
        assert cut["members"] == {n: size_of(was[n]) for n in was if n not in item}
        assert was == {**item, **{name: was[name] for name in cut["members"]}}
    if size_of(before) + 10_000 <= most:
        assert after == before


def test_the_largest_are_cut_first() -> None:
    items = [{"id": n, "input": "x" * n * 100, "text": "short"} for n in range(1, 11)]
    after = fit(items, [Row()] * 10, Shown, most=10_000 + 3000)
    assert ["input" in item for item in after] == [True] * 6 + [False] * 4
    assert all(item["text"] == "short" for item in after)


# What the document says of items


@pytest.fixture(scope="module")
def document() -> Any:
    return SchemaGenerator(urlconf="integration_site.api.urls").get_schema(public=True)


def kinds_of_items(document: Any) -> set[type[AnswerSerializer]]:
    """Return the serializers of the items of all lists in pages."""
    pages = [
        schema for schema in document["components"]["schemas"].values()
        if "per_page" in schema.get("properties", {}) and "items" in schema["properties"]
    ]  # fmt: skip
    names = {page["properties"]["items"]["items"]["$ref"].rpartition("/")[2] for page in pages}
    return {kind for kind in subclasses_of(AnswerSerializer) if component_of(kind) in names}


def component_of(kind: type[AnswerSerializer]) -> str:
    return kind.__name__.removesuffix("Serializer")


def resource_of(kind: type[AnswerSerializer]) -> str:
    return component_of(kind).removeprefix("Listed").removeprefix("Discovered")


def subclasses_of(kind: type[AnswerSerializer]) -> Iterator[type[AnswerSerializer]]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses_of(each)


SMALL = (
    serializers.UUIDField, serializers.IntegerField, serializers.FloatField,
    serializers.BooleanField, serializers.DateTimeField, serializers.ChoiceField,
)  # fmt: skip
# What has no bound in its field, and has one all the same.
BOUNDED = {
    ("Connection", "address"): "made of three short texts",
    ("Integration", "target"): "three short texts",
    ("IntegrationExecution", "error"): "a code and a sentence of at most 1,000 characters",
    ("IntegrationExecution", "warnings"): "at most 20 names of fields",
    ("Key", "scopes"): "there are so many scopes",
    ("Key", "effective_scopes"): "the same",
    ("BulkOperation", "filter"): "as in the query of a list",
    ("BulkOperation", "refusals"): "at most ten, of 300 characters",
    ("Schedule", "next_runs"): "five times",
    ("Schedule", "state"): "ACTIVE, DISABLED or ENDED",
    ("Schedule", "words"): "a sentence about five fields of a cron expression",
    ("Circuit", "url"): "the URL of an instance or a connection",
    ("Connection", "awaiting_grant"): "null in every answer but that to the link of a credential",
    ("Service", "awaiting_grant"): "the same",
    ("AlertChannel", "status"): "ACTIVE, DISABLED or ERROR",
    ("Silence", "status"): "SCHEDULED, ACTIVE or ENDED",
    ("Model", "capabilities"): "six types of requests, each once",
    ("HealthCheck", "push_url"): "null in lists",
    ("Budget", "warn_at"): "at most ten percents",
}
# What methods make: addresses, names, statuses and times.
SHORT = {
    "maintenance", "url", "endpoint", "health_url", "last_heartbeat", "status_reason", "state",
    "is_current", "current_step", "path", "words",
}  # fmt: skip


def longest_text(kind: type[AnswerSerializer], name: str, field: Any) -> int | None:
    """Return the most characters of a member; None where nothing says how many there may be."""
    if isinstance(field, SMALL):
        return 10
    if (resource_of(kind), name) in BOUNDED or name in SHORT:
        return 300
    model: Any = kind.Meta.model
    for part in (field.source or name).split("."):
        column = next((each for each in model._meta.fields if each.name == part), None)
        model = getattr(column, "related_model", None) or model
    return getattr(column, "max_length", None)


def test_what_is_always_in_a_list_is_small(document: Any) -> None:
    """So a page of the most items fits once everything is cut that may be."""
    kinds = kinds_of_items(document)
    assert len(kinds) >= 20
    for kind in kinds:
        lengths = {
            name: longest_text(kind, name, field)
            for name, field in kind().fields.items()
            if name not in (*kind.left_out, *kind.large)
        }
        assert [name for name, length in lengths.items() if not length] == [], kind
        # A character has four bytes at most, and what stands instead of a member is short.
        texts = sum(4 * length + len(name) + 6 for name, length in lengths.items() if length)
        marks = 80 * len((*kind.left_out, *kind.large))
        assert texts + marks <= LARGEST_LIST_BYTES / MOST_PER_PAGE, kind


def test_every_list_that_leaves_out_says_how_to_ask(document: Any) -> None:
    asked = {
        path: parameter["schema"]["items"]["enum"]
        for path, operations in document["paths"].items()
        for parameter in operations.get("get", {}).get("parameters", ())
        if parameter["name"] == "include"
    }
    whole = ["input", "output", "result", "context"]
    assert asked == {
        "/executions": whole,
        "/workflows/{id}/executions": whole,
        "/executions/{id}/steps": ["input", "output"],
        "/executions/{id}/events": ["payload"],
    }


# What callers see

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("keys_stay_known")]


@pytest.fixture
def api() -> Any:
    return factories.caller("OPERATOR")


@pytest.fixture
def execution() -> WorkflowExecution:
    made = factories.make_execution(
        input=LARGE, context={"a": 1}, output={"text": "out"}, status="COMPLETED"
    )
    WorkflowStep.objects.filter(execution=made).update(input=LARGE, output={"b": 2})
    return made


def test_large_members_are_left_out_unless_asked_for(
    api: Any, execution: WorkflowExecution
) -> None:
    (item,) = api.get("/executions").json()["items"]
    assert not {"input", "output", "result", "context", "cut"} & set(item)
    (item,) = api.get("/executions?include=output,%20result").json()["items"]
    assert item["output"] == item["result"] == {"text": "out"}
    assert "input" not in item
    steps, events = f"/executions/{execution.pk}/steps", f"/executions/{execution.pk}/events"
    assert "output" not in api.get(steps).json()["items"][0]
    assert api.get(f"{steps}?include=output").json()["items"][0]["output"] == {"b": 2}
    assert "payload" not in api.get(f"{events}?cursor=").json()["items"][0]
    assert api.get(f"{events}?cursor=&include=payload").json()["items"][0]["payload"] == {}


def test_what_is_left_out_is_not_read_from_the_database(
    api: Any, execution: WorkflowExecution
) -> None:
    def selected(query: str) -> str:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            api.get(f"/executions{query}")
        return next(q["sql"] for q in queries if '"correlation_id"' in q["sql"])

    assert '"workflow_execution"."input"' not in selected("")
    assert '"workflow_version"."steps"' not in selected("")
    assert '"workflow_execution"."output"' in selected("?include=result")
    assert '"workflow_execution"."input"' not in selected("?include=result")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (
            "/executions?include=outputs",
            "'outputs' is not left out of this list; did you mean output?",
        ),
        ("/executions?include=output,status", "'status' is not left out of this list."),
        ("/registry/services?include=metadata", "There is no"),
    ],
)
def test_what_is_not_left_out_cannot_be_asked_for(api: Any, path: str, sentence: str) -> None:
    refused = api.get(path)
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["include"])
    assert sentence in refused.json()["errors"]["include"][0]


def hold_many(execution: WorkflowExecution) -> None:
    """Store what makes every list below larger than it may be."""
    workflow = execution.workflow
    assert workflow is not None
    for number in range(2, 32):
        factories.make_execution(workflow, input=LARGE, output=LARGE)
        workflow.versions.create(number=number, steps=[LARGE], checksum="")
        WorkflowStep.objects.create(
            execution=execution, step_id="s", path=f"s{number}", input=LARGE, error=LARGE
        )
        WorkflowEvent.objects.create(
            execution=execution, sequence=number, kind=EventKind.SIGNAL, payload=LARGE
        )
        service = factories.make_service(urls=("http://a",))
        ServiceInstance.objects.filter(service=service).update(metadata=LARGE)
        ServiceAction.objects.create(service=service, name="x", input_schema=LARGE)


LISTS = [
    "/executions?include=input,output", "/workflows/{workflow}/executions?include=output,result",
    "/executions/{id}/steps?include=input", "/executions/{id}/events?include=payload",
    "/executions/{id}/events?cursor=&include=payload", "/workflows/{workflow}/versions",
    "/registry/services", "/discovery/services",
]  # fmt: skip


def test_no_list_is_larger_than_two_megabytes(api: Any, execution: WorkflowExecution) -> None:
    hold_many(execution)
    for path in LISTS:
        url = path.format(id=execution.pk, workflow=execution.workflow_id)
        answer = api.get(f"{url}{'&' if '?' in url else '?'}per_page={MOST_PER_PAGE}")
        assert answer.status_code == 200
        assert 1_000_000 < len(answer.content) <= LARGEST_LIST_BYTES, path
        items = answer.json()["items"]
        cut = next(item for item in items if "cut" in item)
        whole = api.get(cut["cut"]["whole_at"]).json()
        for name, size in cut["cut"]["members"].items():
            assert name not in cut
            assert size == size_of(whole[name]) > 190_000


def test_search_over_a_body_is_bounded_too(api: Any, execution: WorkflowExecution) -> None:
    hold_many(execution)
    answer = api.post("/discovery/services/search", {"per_page": MOST_PER_PAGE})
    assert len(answer.content) <= LARGEST_LIST_BYTES
    assert any("cut" in item for item in answer.json()["items"])


def test_steps_of_an_execution_are_whole_as_far_as_they_fit(
    api: Any, execution: WorkflowExecution
) -> None:
    (step,) = api.get(f"/executions/{execution.pk}").json()["steps"]
    assert (step["input"], step["output"]) == (LARGE, {"b": 2})
    hold_many(execution)
    shown = api.get(f"/executions/{execution.pk}").json()
    assert (shown["input"], shown["output"]) == (LARGE, {"text": "out"})
    assert size_of(shown["steps"]) <= LARGEST_LIST_BYTES
    cut = next(step for step in shown["steps"] if "cut" in step)
    assert api.get(cut["cut"]["whole_at"]).json()["error"] == LARGE


@pytest.mark.parametrize(
    "path",
    ["/executions/{id}/steps/x", "/executions/{id}/steps/" + "0" * 32, "/executions/{id}/events/9",
     "/workflows/{workflow}/versions/9", "/audit/x"],
)  # fmt: skip
def test_what_is_not_there_is_not_found(execution: WorkflowExecution, path: str) -> None:
    url = path.format(id=execution.pk, workflow=execution.workflow_id)
    client = factories.caller(scopes=["audit:read", "workflows:read"])
    assert (client.get(url).status_code, client.get(url).json()["code"]) == (404, "not_found")
