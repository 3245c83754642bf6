"""No input gives a 500: the API under generated requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient
from schemathesis import GenerationMode

from tests.support.fuzz import BOUNDED, assert_answered, load_schema, send_case
from tests.support.hypothesis_settings import in_proportion

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.on_servers,
    pytest.mark.usefixtures("nothing_waits", "transaction_stays"),
]
PARTS = 6


@pytest.fixture(scope="module")
def operations(django_db_setup: None, django_db_blocker: Any) -> list[Any]:
    with django_db_blocker.unblock():
        return [operation.ok() for operation in load_schema().get_all_operations()]


@pytest.mark.parametrize("part", range(PARTS))
def test_generated_requests_are_answered(
    part: int, operations: list[Any], world: dict[str, str], in_full: bool
) -> None:
    assert len(operations) > 100
    for operation in operations[part::PARTS]:
        with transaction.atomic():
            send_generated(operation, world, examples=6 if in_full else 3)
            transaction.set_rollback(True)


def send_generated(operation: Any, world: dict[str, str], *, examples: int) -> None:
    """Requests that fit the description of an operation, and some that do not."""
    fitting, other = (operation.as_strategy(mode) for mode in GenerationMode)

    @settings(parent=BOUNDED, max_examples=in_proportion(examples))
    @given(fitting | other)
    def send(case: Any) -> None:
        send_case(case, world)

    send()


WORDS = st.sampled_from(
    ["", "a", "known", "online", "CUSTOM", "http://a", "\x00", "\ud800", "💩", "x" * 600, "$.a"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**310), 10**310)
    | st.sampled_from([0, -1, 1, 2**31, 2**63, 2**64, 10**40])
    | st.floats()
    | WORDS
    | st.text(max_size=8)
)
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
ACTION = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("name", "description", "method", "path", "input_schema", "output_schema",
         "timeout_seconds", "idempotent"),
        ANY_JSON,
    ),
)  # fmt: skip
JSON_SCHEMA = st.dictionaries(
    st.sampled_from(
        ["type", "properties", "required", "pattern", "minimum", "multipleOf", "$ref", "items",
         "enum", "const", "allOf", "not", "maxLength", "$schema", "$id", "format", "if", "$defs"]
    ),
    ANY_JSON | st.sampled_from(["object", "#", "#/x", "(", "^(a+)+$", ["string"], {"$ref": "#"}]),
    max_size=4,
)  # fmt: skip


def bodies(*names: str, **special: Any) -> Any:
    fields = {name: special.get(name, ANY_JSON) for name in (*names, *special)}
    return st.fixed_dictionaries({}, optional=fields) | ANY_JSON


STEP = st.fixed_dictionaries(
    {},
    optional={
        "id": WORDS, "type": st.sampled_from(["ACTION", "TRANSFORM", "CHOICE"]) | ANY_JSON,
        "service": WORDS | ANY_JSON, "service_type": ANY_JSON, "action": WORDS | ANY_JSON,
        "input": ANY_JSON, "when": ANY_JSON, "next": WORDS | ANY_JSON, "retry": ANY_JSON,
        "timeout": ANY_JSON, "optional": ANY_JSON, "fallback": ANY_JSON, "output": ANY_JSON,
    },
)  # fmt: skip
DEFINITION = bodies(
    "description", "type", "status", "metadata", "output", "retry", "timeout", "x",
    name=WORDS | ANY_JSON, steps=st.lists(STEP, max_size=3) | ANY_JSON,
)  # fmt: skip
SERVICE = bodies(
    "type", "description", "health_url", "version", "metadata", "tags", "status", "zone", "weight",
    "ttl_seconds", "criticality", "endpoint", "capabilities",
    name=st.just("fuzzed") | ANY_JSON, url=st.just("http://a") | ANY_JSON,
    actions=st.lists(ACTION, max_size=2)
    | st.tuples(st.fixed_dictionaries({"name": st.just("a"), "input_schema": JSON_SCHEMA}))
    | ANY_JSON,
)  # fmt: skip
INSTANTS = st.datetimes().map(lambda value: value.isoformat() + "Z")
CRONS = st.text("0123456789*/,-# LWMONJA", max_size=30) | st.just("0 9 * * *") | ANY_JSON
TIMES = {
    "cron": CRONS, "timezone": st.sampled_from(["UTC", "Asia/Tokyo", "../x"]) | ANY_JSON,
    "starts_at": INSTANTS | ANY_JSON, "ends_at": INSTANTS | ANY_JSON,
}  # fmt: skip
SCHEDULE_TIMES = bodies(**TIMES)
SCHEDULE = bodies(
    "description", "version", "overlap_policy", "catch_up_policy", "catch_up_limit", "input",
    "context", "priority", "enabled", **TIMES,
    name=st.just("fuzzed") | ANY_JSON, workflow=st.just("known") | ANY_JSON,
)  # fmt: skip
MAPPING = (
    st.sampled_from(["$.input", "$.input.a", "$.steps.a", "$.", "x"])
    | st.dictionaries(WORDS, st.sampled_from(["$.input.a", "$.context", "$.output"]) | ANY_JSON)
    | ANY_JSON
)
INTEGRATION = bodies(
    "type", "status", "description", "source", "unknown_fields", "config",
    name=st.just("fuzzed") | ANY_JSON, request_mapping=MAPPING, response_mapping=MAPPING,
    target=st.just({"service_type": "CUSTOM", "action": "a"})
    | bodies("service", "service_type", "action", "connection", "method", "path"),
)  # fmt: skip
WEBHOOK = bodies(
    "description", "enabled", "effect", "find_by", name=st.just("fuzzed") | ANY_JSON,
    credential=st.just("signing") | ANY_JSON, workflow=st.just("known") | ANY_JSON,
    signal=WORDS | ANY_JSON, find=WORDS | ANY_JSON, mapping=MAPPING,
)  # fmt: skip
START = bodies("input_data", "context", "wait", "priority", "data", "input")
POSTS = [
    ("POST", "/registry/services", SERVICE),
    ("PATCH", "/registry/services/known", SERVICE),
    ("POST", "/registry/services/known/heartbeat",
     bodies("status", "instance_id", "url", "metadata")),
    ("PUT", "/registry/services/known/status", bodies("status")),
    ("POST", "/registry/services/known/instances",
     bodies("health_url", "version", "status", "zone", "weight", "ttl_seconds", "metadata",
            url=st.just("http://b") | ANY_JSON)),
    ("POST", "/registry/services/known/actions/a/execute",
     bodies("input_data", "context", "timeout")),
    ("POST", "/discovery/services/search",
     bodies("types", "statuses", "tags", "metadata", "name", "action", "zone", "search",
            "minimum_version", "include_offline", "page", "per_page",
            metadata=st.dictionaries(WORDS | st.text(max_size=5), SCALARS, max_size=2) | ANY_JSON)),
    ("POST", "/workflows", DEFINITION),
    ("POST", "/workflows/validate", DEFINITION),
    ("PUT", "/workflows/known", DEFINITION),
    ("POST", "/workflows/known/execute", START),
    ("POST", "/workflows/execute",
     bodies("workflow_type", "data", "context", "options", workflow=WORDS | ANY_JSON)),
    ("POST", "/workflows/project-planning", bodies("a")),
    ("POST", "/schedules", SCHEDULE),
    ("PATCH", "/schedules/known", SCHEDULE),
    ("POST", "/schedules/preview", SCHEDULE_TIMES),
    ("POST", "/schedules/known/backfill",
     st.fixed_dictionaries({"from": INSTANTS | ANY_JSON, "to": INSTANTS}) | ANY_JSON),
    ("POST", "/registry/integrations", INTEGRATION),
    ("PATCH", "/registry/integrations/known", INTEGRATION),
    ("POST", "/integrations/known/execute", bodies("payload", "context")),
    ("POST", "/webhooks", WEBHOOK),
    ("PATCH", "/webhooks/known", WEBHOOK),
    ("POST", "/webhooks/known", bodies("a")),
    ("POST", "/executions/{execution}/cancel", bodies("reason")),
    ("POST", "/executions/{execution}/retry", bodies("reason")),
    ("POST", "/executions/{execution}/rerun",
     bodies("from_step", "input_data", "step_input", "version", "wait")),
    ("POST", "/executions/{execution}/evaluate", bodies("expression", "template", "step")),
    ("POST", "/workflows/dry-run",
     bodies("input_data", "context", "mocks", "version", workflow=WORDS | ANY_JSON)),
    ("POST", "/workflows/dry-run", DEFINITION),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body"), POSTS, ids=[f"{m} {p}" for m, p, _ in POSTS])
def test_generated_bodies_are_answered(
    method: str, path: str, body: Any, world: dict[str, str], in_full: bool
) -> None:
    client: Any = APIClient(raise_request_exception=False)
    client.credentials(HTTP_X_API_KEY=world["key"])

    @settings(parent=BOUNDED, max_examples=60 if in_full else 15)
    @given(body)
    def send(value: Any) -> None:
        sent = json.dumps(value).encode()
        answer = client.generic(method, path.format(**world), sent, content_type="application/json")
        assert_answered(answer, value)
        # What the last net catches was not foreseen: a caller deserves to hear which field it was.
        assert b"cannot be stored" not in answer.content, value

    send()


HEADERS = [
    "X_REQUEST_ID", "IDEMPOTENCY_KEY", "IF_MATCH", "IF_NONE_MATCH", "ACCEPT", "X_API_KEY",
    "AUTHORIZATION", "TRANSFER_ENCODING", "COOKIE",
]  # fmt: skip


@pytest.mark.parametrize("path", ["/registry/services", "/workflows/known/execute"])
def test_generated_headers_are_answered(path: str, world: dict[str, str], in_full: bool) -> None:
    client: Any = APIClient(raise_request_exception=False)
    texts = st.text(st.characters(max_codepoint=255), max_size=30) | st.just("x" * 10_000)

    @settings(parent=BOUNDED, max_examples=80 if in_full else 20)
    @given(st.sampled_from(HEADERS), texts)
    def send(name: str, text: str) -> None:
        headers = {"HTTP_X_API_KEY": world["key"], f"HTTP_{name}": text}
        for method in ("GET", "POST"):
            answer = client.generic(method, path, b"{}", content_type="application/json", **headers)
            assert_answered(answer, (name, text))
            assert "\n" not in answer["X-Request-ID"]

    send()
