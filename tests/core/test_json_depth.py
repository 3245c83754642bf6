"""However deep a document from elsewhere is nested, who reads it says so, on every Python.

From 3.12 on `json.loads` nests deeper than code in Python may recurse: what was parsed may be
deadly to walk.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import click
import pytest
from django.core.exceptions import ValidationError
from rest_framework.exceptions import APIException

from core.admin.forms import StrictJSONField
from core.api.parsers import StrictJSONParser
from core.exceptions import IntegrationError
from core.expressions import (
    MAX_RESULT_BYTES,
    ExpressionError,
    compile_expression,
    is_too_deep,
    json_size,
)
from core.expressions.values import bounded
from core.json import strict
from core.json.equality import json_equal
from registry.calls.auth.oauth2 import read_token
from registry.calls.error_responses import LONGEST_SENTENCE, describe_error_response
from registry.connections import config_checks
from registry.discovery.database import _has_text
from registry.discovery.http_backend import ERRORS, read_object
from service_integration_client.cli.options import read_object as read_option
from service_integration_client.cli.options import read_value
from service_integration_client.exceptions import ServiceIntegrationError
from service_integration_client.requests import Request
from service_integration_client.responses import content_of
from service_integration_client.retries import READ
from service_integration_client.strict_json import encode_json
from tests import factories
from workflows.services.webhooks.deliveries import _read_body

pytestmark = pytest.mark.each_python
DEPTHS = (150, 900, 1_000, 5_000, 100_000)


def deep(depth: int, key: str = "error") -> bytes:
    return f'{{"{key}": '.encode() * depth + b'"x"' + b"}" * depth


def value(depth: int) -> Any:
    found: Any = "x"
    for _ in range(depth):
        found = {"error": [found]}
    return found


def answered(status: int) -> Callable[[bytes], Any]:
    request = Request("GET", "/services", policy=READ)
    return lambda text: content_of(request, status=status, headers={}, body=text)


def token(text: bytes, status: int = 200) -> Any:
    credential: Any = SimpleNamespace(name="c", attributes={"token_url": "https://t.example"})
    return read_token(credential, status, text, str)


def body_of_request(text: bytes) -> Any:
    import io

    return StrictJSONParser().parse(io.BytesIO(text))


# Who parses what comes from elsewhere, and how each of them refuses.
READERS: dict[str, tuple[Callable[[bytes], Any], tuple[type[Exception], ...]]] = {
    "strict parser": (strict.parse, (strict.JSONRefused,)),
    "request": (body_of_request, (APIException,)),
    "webhook": (_read_body, (IntegrationError,)),
    "token server": (token, (IntegrationError,)),
    "refusing token server": (lambda text: token(text, 400), (IntegrationError,)),
    "etcd, consul": (read_object, ERRORS),
    "form in the admin": (lambda t: StrictJSONField().to_python(t.decode()), (ValidationError,)),
    "setting of a connection": (lambda t: config_checks.document(t.decode()), (ValueError,)),
    "answer to the client": (answered(200), (ServiceIntegrationError,)),
    "refusal to the client": (answered(400), (ServiceIntegrationError,)),
    "broken answer to the client": (answered(500), (ServiceIntegrationError,)),
    "file for the command line": (lambda t: read_option(t.decode(), "--f"), (click.UsageError,)),
}


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("key", ["error", "errors"])
def test_deep_documents_are_refused_in_words(reader: str, depth: int, key: str) -> None:
    read, refusals = READERS[reader]
    try:
        found = read(deep(depth, key))
    except refusals as error:
        assert str(error)
    else:  # the client may be shown what no hub takes
        assert not is_too_deep(found, 200)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("key", ["error", "detail", "message", "title"])
def test_what_a_deep_refusal_says_is_a_short_sentence(depth: int, key: str) -> None:
    said = describe_error_response(deep(depth, key))
    assert said.startswith(": {")
    assert len(said) <= LONGEST_SENTENCE + 2


@pytest.mark.parametrize("depth", DEPTHS)
def test_options_and_filters_that_are_no_usable_json_are_texts(depth: int) -> None:
    text = deep(depth).decode()
    assert read_value(text) == text or depth < 200
    assert len(_has_text("a", text).children) == 1  # not also a number


@pytest.mark.parametrize("depth", DEPTHS)
def test_values_are_measured_compared_and_bounded_without_recursion(depth: int) -> None:
    found = value(depth)
    try:
        assert is_too_deep(found, 100)
        assert json_size(found, MAX_RESULT_BYTES) > depth
        assert json_equal(found, value(depth))
        with pytest.raises(ExpressionError, match=r"100 levels|1 MiB"):
            bounded(found)
        with pytest.raises(ServiceIntegrationError, match=r"nested|written"):
            encode_json({"input_data": found})
    finally:
        while isinstance(found, dict):
            found = found["error"][0]


def test_a_literal_in_an_expression_is_not_deep() -> None:
    with pytest.raises(ExpressionError):
        compile_expression("`" + "[" * 400 + "]" * 400 + "`")


@pytest.mark.django_db
@pytest.mark.parametrize("depth", DEPTHS)
def test_a_deep_body_is_answered_with_400(depth: int) -> None:
    answer = factories.caller().post("/services", data=deep(depth), content_type="application/json")
    assert answer.status_code == (413 if depth > 90_000 else 400), answer.content
    assert json.loads(answer.content)["message"]
