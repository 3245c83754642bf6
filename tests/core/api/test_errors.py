"""One form of every error, the strict parser, and request ids."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404
from django.test import Client
from rest_framework import exceptions
from rest_framework.test import APIClient

from core.api.errors import flatten, problem_response, summarise
from core.exceptions import Conflict, ValidationFailed
from registry.exceptions import ServiceUnavailableError
from tests import factories

PLANNER = {"name": "planner"}
SERVICES = "/registry/services"


def send(api: Any, body: bytes, content_type: str = "application/json") -> Any:
    return api.generic("POST", SERVICES, body, content_type=content_type)


def assert_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert set(body) >= {
        "type", "title", "status", "detail", "code", "message", "errors", "request_id",
    }  # fmt: skip
    assert body["message"] == body["detail"]
    assert body["status"] == status
    assert body["request_id"] == answer["X-Request-ID"]
    return body


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[]", "must be a JSON object, not a list"),
        (b'"x"', "not a string"),
        (b"5", "not a number"),
        (b"true", "not a boolean"),
        (b"null", "not null"),
        (b"{", "line 1, column 2"),
        (b'{"name": "a", "name": "b"}', "'name' occurs twice"),
        (b'{"name": "a\\u0000"}', "NUL"),
        (b'{"name": "\\ud800"}', "surrogate"),
        (b'{"name": "\xff"}', "not UTF-8"),
        (b'{"name": NaN}', "NaN"),
        (b'{"weight": Infinity}', "Infinity"),
        (b'{"weight": 1e400}', "too large"),
        (b'{"weight": ' + b"9" * 5000 + b"}", "more than 300 digits"),
        (b'{"metadata":' * 33 + b"1" + b"}" * 33, "deeper than 32"),
        (b"name=planner", "line 1"),
    ],
)
def test_bodies_that_are_no_usable_object(api: APIClient, body: bytes, words: str) -> None:
    assert words in assert_problem(send(api, body), 400, "malformed_json")["detail"]


def test_bodies_over_1_mib_are_too_large(api: APIClient) -> None:
    filler = b" " * (1024 * 1024)
    assert_problem(send(api, b"{}" + filler), 413, "payload_too_large")
    exact = json.dumps({"name": "a", "description": ""}).encode()
    assert send(api, exact + filler[len(exact) :]).status_code == 201


@pytest.mark.parametrize("body", [b"", b"  \n"])
def test_an_empty_body_is_an_empty_object(api: APIClient, body: bytes) -> None:
    assert list(assert_problem(send(api, body), 400, "validation_error")["errors"]) == ["name"]


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "/"],
)
def test_other_content_types_are_refused(api: APIClient, content_type: str) -> None:
    answer = send(api, b'{"name": "a"}', content_type)
    assert_problem(answer, 415, "unsupported_media_type")
    assert "Content-Type: application/json" in answer.json()["detail"]


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json", ""],
)
def test_json_content_types_are_taken(api: APIClient, content_type: str) -> None:
    assert send(api, b'{"name": "a"}', content_type).status_code == 201


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "nonsense", "*/*", ""])
def test_answers_are_json_whatever_is_accepted(api: APIClient, accept: str) -> None:
    answer = api.get(SERVICES, HTTP_ACCEPT=accept)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")


@pytest.mark.parametrize("path", ["/nothing", "/api/nothing/", "/registry/services/a/b/c", "/%00"])
def test_paths_that_do_not_exist(client: Client, path: str) -> None:
    body = assert_problem(client.get(path), 404, "not_found")
    assert "/docs" in body["detail"]


def test_a_foreign_host_name_is_a_bad_request(client: Client) -> None:
    assert_problem(client.get(SERVICES, HTTP_HOST="evil.example"), 400, "validation_error")
    assert client.get("/health/alive", HTTP_HOST="10.0.0.7:8090").status_code == 200


REFERENCES = [
    "%00", "a%00b", "%0A", "%F0%9F%92%A9", "%FF%FE", "x" * 3000, "..", "%2e%2e", "'--",
    "00000000-0000-0000-0000-000000000000", "0" * 32, "{id}", "%25", "a%20b", "%ED%A0%80", "-1",
    "null", "%E2%80%AE", "1e400", ";", "*",
]  # fmt: skip


@pytest.mark.parametrize("reference", REFERENCES)
def test_strange_references_are_not_found(api: APIClient, reference: str) -> None:
    known = factories.make_service("known", urls=("http://a",)).pk
    for method, path in (
        ("get", "/registry/services/{}"),
        ("patch", "/registry/services/{}"),
        ("delete", "/services/{}"),
        ("post", "/registry/services/{}/heartbeat"),
        ("put", "/registry/services/{}/status?status=online"),
        ("get", "/registry/services/{}/health"),
        ("get", "/registry/services/{}/instances"),
        ("delete", f"/registry/services/{known}/instances/{{}}"),
        ("post", "/registry/services/{}/actions/a/execute"),
        ("get", "/discovery/health/{}"),
        ("get", "/discovery/services/type/{}"),
        ("get", "/workflows/{}"),
        ("put", "/workflows/{}"),
        ("delete", "/workflows/{}"),
        ("get", "/workflows/{}/versions"),
        ("get", "/workflows/{}/executions"),
        ("post", "/workflows/{}/versions/1/activate"),
        ("post", "/workflows/known/versions/{}/activate"),
        ("post", "/workflows/{}/versions/1/retire"),
        ("post", "/workflows/known/versions/{}/reinstate"),
        ("post", "/workflows/{}/execute"),
        ("get", "/executions/{}"),
        ("get", "/executions/{}/steps"),
        ("get", "/executions/{}/events"),
        ("post", "/executions/{}/cancel"),
        ("post", "/executions/{}/retry"),
        ("options", "/registry/services/{}"),
    ):
        answer = getattr(api, method)(path.format(reference))
        assert answer.status_code in (200, 400, 404), (method, path, answer.content)
        assert answer.status_code == 404 or "type" in path or method == "options", answer.content


QUERIES = [
    "%00=1", "page=%00", "search=%00", "name=%FF", "type=%F0%9F%92%A9", "ordering=%00", "a" * 2000,
    "created_after=x", "created_after=0001-01-01T00:00:00%2B14:00", "cursor=%00", "cursor=x",
    "created_before=9999-12-31T23:59:59-14:00", "cursor=AAAA", "cursor=%F0", "workflow=%00",
    "correlation_id=%00", "metadata.=1", "metadata.%00=1", "page[]=1", "wait=1e400", "wait=nan",
    "wait=-inf", "index=%00", "probe=%00", "&&&==&", "page=1&page=x", "metadata.a=1e999",
    "metadata.a=" + "9" * 190, "minimum_version=" + "9" * 190, "metadata.a=[1]",
]  # fmt: skip


@pytest.mark.on_servers
@pytest.mark.parametrize("query", QUERIES)
def test_strange_queries_are_answered_or_refused(api: APIClient, query: str, in_full: bool) -> None:
    execution = factories.make_execution()
    factories.make_service("known", urls=("http://127.0.0.1:9",), metadata={"a": 1})
    for path in (
        "/registry/services",
        "/registry/services/known/instances",
        "/discovery/services",
        "/discovery/watch",
        "/workflows",
        f"/workflows/{execution.workflow_id}/executions",
        f"/workflows/{execution.workflow_id}/versions",
        "/executions",
        f"/executions/{execution.pk}",
        f"/executions/{execution.pk}/steps",
        f"/executions/{execution.pk}/events",
        "/health/system",
        *(["/schema"] if in_full else []),  # it takes longer than all others
    ):
        answer = api.get(f"{path}?{query}")
        assert answer.status_code in (200, 400), (path, answer.content)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abc-123", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("two words", False),
        ("line\nbreak", False),
        ("tab\t", False),
        ("ä", False),
        ("\x00", False),
    ],
)
def test_request_ids_are_taken_or_made_and_returned(client: Client, given: str, kept: bool) -> None:
    answer = client.get("/nothing", headers={"X-Request-ID": given})
    returned = answer["X-Request-ID"]
    assert (returned == given) is kept
    assert kept or re.fullmatch(r"[0-9a-f]{32}", returned)
    assert answer.json()["request_id"] == returned


def test_request_ids_are_made_anew_for_each_request(client: Client) -> None:
    made = {client.get("/health/alive")["X-Request-ID"] for _ in range(5)}
    assert len(made) == 5


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ValidationFailed("name: no", errors={"name": ["no"]}), 400, "validation_error"),
        (Conflict("taken"), 409, "conflict"),
        (ServiceUnavailableError("down"), 503, "service_unavailable"),
        (Http404(), 404, "not_found"),
        (PermissionDenied("no"), 403, "permission_denied"),
        (exceptions.NotAuthenticated(), 401, "unauthenticated"),
        (exceptions.Throttled(wait=3), 429, "rate_limited"),
        (OperationalError("gone"), 503, "service_unavailable"),
        (InterfaceError("gone"), 503, "service_unavailable"),
        (DatabaseError("odd"), 400, "validation_error"),
        (ValueError("odd"), 400, "validation_error"),
        (RuntimeError("odd"), 500, "internal_error"),
    ],
)
def test_every_error_becomes_a_problem(error: Exception, status: int, code: str) -> None:
    answer = problem_response(error, {})
    assert (answer.status_code, answer.data["code"]) == (status, code)
    assert answer.data["message"] == answer.data["detail"]
    assert "odd" not in answer.data["detail"]
    assert ("Retry-After" in answer.headers) is isinstance(error, OperationalError | InterfaceError)


@pytest.mark.parametrize("error", [DatabaseError("odd"), ValueError("odd"), RuntimeError("odd")])
def test_what_was_not_foreseen_is_logged(error: Exception, caplog: Any) -> None:
    try:
        raise error
    except Exception as caught:
        problem_response(caught, {})
    (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert "unexpected_error" in str(record.msg)
    assert record.exc_info or "odd" in str(record.msg)


def test_paths_of_errors() -> None:
    nested = {
        "steps": [{}, {}, {"next": ["No."]}],
        "tags": {0: ["Blank."], 3: ["Long."]},
        "non_field_errors": ["All wrong."],
        "options": {"wait": ["Long."]},
    }
    assert flatten(nested) == {
        "steps[2].next": ["No."],
        "tags[0]": ["Blank."],
        "tags[3]": ["Long."],
        "$": ["All wrong."],
        "options.wait": ["Long."],
    }
    assert summarise({"a": ["One."], "b": ["Two.", "Three."]}) == "a: One. (2 more)"
    assert summarise({"$": ["One."]}) == "One."
    assert summarise({}) == "The request is not valid."
