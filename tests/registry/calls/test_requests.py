"""Building requests, their headers, and reading what a refusing answer says."""

from __future__ import annotations

import json
from typing import Any

import pytest
import structlog
from django.core.exceptions import ValidationError

from core.exceptions import SchemaViolation
from core.json.schema import Schema
from registry.calls.error_responses import describe_error_response, retry_after_seconds
from registry.calls.headers import call_headers, header_text, key_of_caller
from registry.calls.request import check_input, prepare_request, trim_to_schema
from registry.calls.targets.connection_action import is_request_path
from registry.calls.targets.resolver import ResolvedAction
from registry.models import Integration, ServiceAction
from registry.policies.request_paths import check_path

URL = "http://planner:8000/api/"
CLOSED = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}


def make_action(method: str = "POST", path: str = "/plans", **fields: Any) -> ResolvedAction:
    values: dict[str, Any] = {
        "service": "planner",
        "action": "plan",
        "method": method,
        "path": path,
        "input_schema": Schema({}),
        "output_schema": Schema({}),
        "timeout_seconds": None,
        "idempotent": True,
        "endpoints": (),
        **fields,
    }
    names = ResolvedAction.__dataclass_fields__
    return ResolvedAction(**{name: values[name] for name in names if name in values})


def test_what_is_not_in_the_path_becomes_the_body() -> None:
    request = prepare_request(
        make_action(path="/projects/{project_id}/plans"),
        url=URL,
        document={"project_id": 7, "goal": "ä"},
    )
    assert request.url == "http://planner:8000/api/projects/7/plans"
    assert request.method == "POST"
    assert request.body is not None
    assert json.loads(request.body) == {"goal": "ä"}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_methods_without_a_body_have_a_query(method: str) -> None:
    request = prepare_request(
        make_action(method), url=URL, document={"a": "x y", "b": 1, "c": None, "d": [1], "e": True}
    )
    assert request.url.endswith("/plans?a=x+y&b=1&d=%5B1%5D&e=true")
    assert request.body is None
    assert prepare_request(make_action(method), url=URL, document={}).url.endswith("/plans")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a?b#c", "a%3Fb%23c"),
        ("ä ", "%C3%A4%20"),
        ("50%", "50%25"),
        ("a.b..c", "a.b..c"),
        (".well-known", ".well-known"),
        ("{other}", "%7Bother%7D"),
    ],
)
def test_values_cannot_leave_their_place_in_the_path(value: str, written: str) -> None:
    request = prepare_request(
        make_action(path="/p/{x}/{other}"), url=URL, document={"x": value, "other": 1}
    )
    assert request.url.endswith(f"/p/{written}/1")


def test_paths_of_other_alphabets_are_encoded() -> None:
    request = prepare_request(make_action(path="/ä/{größe}%20x"), url=URL, document={"größe": "ü"})
    assert request.url.endswith("/%C3%A4/%C3%BC%20x")


ELSEWHERE = (
    ".", "..", "a/b", "../../admin", "..\\admin", "%2e", "%2E%2e", "..%2f..", "..%5cadmin",
    "%252e%252e", "..;x=1", "%2e%2e;", "a%2Fb",
)  # fmt: skip


@pytest.mark.parametrize("value", ELSEWHERE)
@pytest.mark.parametrize("path", ["/p/{x}", "/p/{x}/q"])
def test_values_that_lead_out_of_the_path_are_refused(value: str, path: str) -> None:
    with pytest.raises(SchemaViolation, match="leads elsewhere") as caught:
        prepare_request(make_action(path=path), url=URL, document={"x": value})
    assert list(caught.value.details["errors"]) == ["x"]


def test_two_values_that_lead_out_of_the_path_together_are_refused() -> None:
    with pytest.raises(SchemaViolation, match="leads elsewhere"):
        prepare_request(make_action(path="/p/{x}{y}"), url=URL, document={"x": ".", "y": "."})


@pytest.mark.parametrize("value", [value for value in ELSEWHERE if value != "a/b"])
def test_no_action_and_no_integration_is_kept_with_such_a_path(value: str) -> None:
    path = f"/p/{value}/q"
    for row in (ServiceAction(name="a", path=path), Integration(name="i", path=path)):
        with pytest.raises(ValidationError) as caught:
            row.clean()
        assert "path" in caught.value.message_dict
    assert not is_request_path(path)


@pytest.mark.parametrize("path", ["/", "/orders/", "/a.b/..c/{id}", "/%C3%A4", "/a;v=1"])
def test_paths_that_stay_where_they_are(path: str) -> None:
    check_path(path)


@pytest.mark.parametrize("value", [None, "", True, 1.5, [], {}])
def test_a_path_needs_a_text_or_a_number(value: Any) -> None:
    with pytest.raises(SchemaViolation) as caught:
        prepare_request(make_action(path="/p/{x}"), url=URL, document={"x": value})
    assert list(caught.value.details["errors"]) == ["x"]


def test_a_request_is_at_most_1_mib() -> None:
    with pytest.raises(SchemaViolation, match="at most 1 MiB"):
        prepare_request(make_action(), url=URL, document={"x": "y" * 1024 * 1024})


def test_input_is_held_against_the_schema_with_paths() -> None:
    action = make_action(input_schema=Schema(CLOSED))
    check_input(action, {"a": 1})
    with pytest.raises(SchemaViolation) as caught:
        check_input(action, {"a": "x", "b": 1})
    assert set(caught.value.details["errors"]) == {"a", "$"}
    assert caught.value.status_code == 422


def test_documents_are_cut_down_to_a_closed_schema_only() -> None:
    document = {"a": 1, "b": 2}
    assert trim_to_schema(make_action(input_schema=Schema(CLOSED)), document) == {"a": 1}
    assert trim_to_schema(make_action(), document) == document


def test_headers_carry_the_request_and_its_correlation() -> None:
    context = {"request_id": "r-1", "correlation_id": "c-1"}
    headers = call_headers(context, key="k-1")
    assert headers["X-Request-ID"] == "r-1"
    assert headers["X-Correlation-ID"] == "c-1"
    assert headers["Idempotency-Key"] == "k-1"
    version, trace, span, flags = headers["traceparent"].split("-")
    assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")


def test_headers_are_made_where_none_are_given() -> None:
    structlog.contextvars.bind_contextvars(request_id="bound")
    first, second = call_headers({}), call_headers({})
    structlog.contextvars.clear_contextvars()
    assert first["X-Request-ID"] == first["X-Correlation-ID"] == "bound"
    assert first["Idempotency-Key"] != second["Idempotency-Key"]
    assert len(call_headers({})["X-Request-ID"]) == 32


def test_two_keys_stay_two_on_the_way_to_a_service() -> None:
    keys = ["k" * 201 + "a", "k" * 201 + "b", "ä1", "1", "ö1", "k" * 200]
    sent = [call_headers({}, key=key)["Idempotency-Key"] for key in keys]
    assert len(set(sent)) == len(keys)
    assert sent == [call_headers({}, key=key)["Idempotency-Key"] for key in keys]
    assert sent[3] == "1"
    assert all(text.isascii() and len(text) <= 200 for text in sent)


def test_a_key_of_a_caller_is_sent_as_one_of_that_caller_alone() -> None:
    pairs = [("key:1", "k"), ("key:2", "k"), ("user:1", "k"), ("key:1", "k2"), ("key:1k", "2")]
    sent = [key_of_caller(*pair) for pair in pairs]
    assert len(set(sent)) == len(pairs)
    assert sent == [key_of_caller(*pair) for pair in pairs]
    assert {call_headers({}, key=key)["Idempotency-Key"] for key in sent} == set(sent)
    assert key_of_caller("key:1", "") == ""


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "ä\x00b", {"a": 1}, None, "x" * 9999, 5])
def test_header_values_are_printable_and_short(value: Any) -> None:
    text = header_text(value)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 200


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"detail": "No such plan."}', ": No such plan."),
        (b'{"message": "m", "error": "e"}', ": m"),
        (b'{"error": {"message": "deep"}}', ": deep"),
        (b'{"detail": [{"msg": "a"}]}', ": [{'msg': 'a'}]"),
        (b'"text"', ": text"),
        (b"plain\nwords", ": plain words"),
        (b"<html>no</html>", "."),
        (b"", "."),
        (b"[1]", "."),
        (b'{"detail": 5}', "."),
        (b"\xff\xfe", ": ��"),
        (b"[" * 70000, None),
        (b"x" * 5000, ": " + "x" * 500),
    ],
)
def test_refusing_answers_are_described(body: bytes, sentence: str | None) -> None:
    found = describe_error_response(body)
    assert len(found) <= 502
    assert sentence is None or found == sentence


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("5", 5.0),
        (" 120 ", 120.0),
        ("99999999999999", 86400.0),
        ("-1", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:00:30 GMT", 30.0),
        ("Wed, 31 Dec 1969 00:00:00 GMT", 0.0),
        ("Thu, 99 Jan 1970 00:00:30 GMT", None),
        ("١٢", None),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, now=0.0) == seconds
