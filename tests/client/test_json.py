import pytest

from service_integration_client import ValidationError
from service_integration_client.strict_json import encode_json
from tests.client.fake_hub import FakeHub

pytestmark = pytest.mark.each_python


def test_body_is_compact_utf8():
    assert encode_json({"a": ["ä", None, 1.5, (True,)]}) == '{"a":["ä",null,1.5,[true]]}'.encode()


@pytest.mark.parametrize(
    ("body", "path", "sentence"),
    [
        ({"steps": [...]}, "steps[0]", "type ellipsis is not JSON"),
        ({"input_data": {"a": {1}}}, "input_data.a", "type set"),
        ({"a": float("nan")}, "a", "finite"),
        ({"a": ["\ud800"]}, "a[0]", "surrogate"),
        ({("a", "b"): 1}, "('a', 'b')", "name"),
        (object(), "body", "type object"),
    ],
)
def test_what_is_not_json_is_named(body, path, sentence):
    with pytest.raises(ValidationError, match=sentence) as caught:
        encode_json(body)
    assert list(caught.value.validation_errors) == [path]


def test_body_that_holds_itself_is_refused():
    body = {}
    body["a"] = body
    with pytest.raises(ValidationError, match="nested beyond"):
        encode_json(body)


def test_number_too_long_to_write_is_refused():
    with pytest.raises(ValidationError, match="cannot be written"):
        encode_json({"a": 10**5000})


def test_nothing_is_sent_of_it():
    hub = FakeHub()
    with pytest.raises(ValidationError):
        hub.client().create_workflow(name=...)
    assert hub.requests == []
