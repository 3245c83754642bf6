import pickle
from datetime import UTC, datetime

import httpx2
import pytest

from service_integration_client import (
    AuthenticationError,
    ConflictError,
    MaxRetriesExceededError,
    PermissionDeniedError,
    RateLimitedError,
    RequestTimeoutError,
    ResourceNotFoundError,
    ServiceCallError,
    ServiceIntegrationError,
    ServiceUnavailableError,
    UnexpectedAnswerError,
    ValidationError,
)
from service_integration_client.responses import retry_after_seconds
from tests.client.fake_hub import FakeHub, answer, problem


def failure(response):
    client = FakeHub(response).client()
    with pytest.raises(ServiceIntegrationError) as caught:
        client.get_service("s1")
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "unauthenticated", AuthenticationError),
        (403, "permission_denied", PermissionDeniedError),
        (409, "conflict", ConflictError),
        (412, "precondition_failed", ConflictError),
        (502, "service_error", ServiceCallError),
        (502, "address_refused", ServiceCallError),
        (502, "credential_error", ServiceCallError),
        (503, "connection_disabled", ConflictError),
        (503, "vault_error", ServiceIntegrationError),
        (504, "service_timeout", RequestTimeoutError),
        (500, "internal_error", ServiceIntegrationError),
    ],
)
def test_status_decides_the_error(status, code, kind):
    error = failure(problem(status, code, "A sentence.", request_id="r1"))

    assert type(error) is kind
    assert str(error) == "A sentence."
    assert (error.code, error.status_code, error.request_id) == (code, status, "r1")


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_validation_error_has_the_fields(status):
    errors = {"steps[2].next": ["There is no step c."], "name": "Too long."}

    error = failure(problem(status, "validation_error", "Not valid.", errors=errors))

    assert isinstance(error, ValidationError)
    assert error.validation_errors == {
        "steps[2].next": ["There is no step c."],
        "name": ["Too long."],
    }


def test_not_found_knows_what_was_looked_for():
    error = failure(problem(404, "not_found", "There is no service s1."))

    assert isinstance(error, ResourceNotFoundError)
    assert (error.resource_type, error.resource_id) == ("service", "s1")


def test_rate_limit_says_how_long_to_wait():
    error = failure(problem(429, "rate_limited", "Slower.", headers={"retry_after": "7"}))

    assert isinstance(error, RateLimitedError)
    assert error.retry_after == 7


def test_answer_without_a_problem_is_described():
    error = failure(answer(418, None))

    assert str(error) == "GET /registry/services/s1 was answered with status 418."


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        (httpx2.Response(200, content=b"<html>"), "base URL"),
        (httpx2.DecodingError("bad gzip"), "bad gzip"),
        (answer(302, None, location="http://elsewhere"), "status 302"),
    ],
    ids=["page of another server", "broken compression", "redirect"],
)
def test_answer_that_is_not_a_hubs_is_explained(response, sentence):
    error = failure(response)

    assert isinstance(error, UnexpectedAnswerError)
    assert sentence in str(error)


def test_read_timeout_is_a_timeout_and_not_retried():
    hub = FakeHub(httpx2.ReadTimeout("slow"))

    with pytest.raises(TimeoutError):
        hub.client().get_service("s")

    assert len(hub.requests) == 1


def test_errors_survive_pickling():
    unavailable = ServiceUnavailableError("down", service_name="s", retry_after=3, status_code=503)
    errors = [
        unavailable,
        MaxRetriesExceededError("given up", attempts=3, last_error=unavailable),
        ValidationError("no", validation_errors={"a": ["b"]}),
        ResourceNotFoundError("no", resource_type="service", resource_id="1"),
    ]
    for error in errors:
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert str(copy) == str(error)
        assert copy.__dict__.keys() == error.__dict__.keys()
    assert pickle.loads(pickle.dumps(unavailable)).service_name == "s"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("5", 5.0),
        ("-5", 0.0),
        ("inf", None),
        ("soon", None),
        ("Sat, 21 Nov 2026 00:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 00:00:00 GMT", 0.0),
        ("Sat, 21 Nov 2026 00:00:05 -0000", 5.0),
    ],
)
def test_retry_after_is_read_as_number_or_date(value, seconds):
    now = datetime(2026, 11, 21, tzinfo=UTC)
    assert retry_after_seconds(value, now=now) == seconds
