"""JSON as the hub takes it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.json.strict import JSONRefused, parse, parse_number
from tests.support.hypothesis_settings import in_proportion

pytestmark = pytest.mark.each_python
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**200), 10**200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('ab\\"[{', max_size=4), inner)
    ),
    max_leaves=15,
)


@given(VALUES, st.booleans())
@settings(max_examples=in_proportion(50), deadline=None)
def test_what_json_writes_is_read_back(value: object, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=60))
@settings(max_examples=in_proportion(100), deadline=None)
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    try:
        parse(body)
    except JSONRefused as error:
        assert str(error).endswith(".")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "Expecting value"),
        (b"{", "line 1"),
        (b"{'a': 1}", "line 1"),
        (b"[1,]", "line 1"),
        (b'{"a": 1} 2', "Extra data"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b"[Infinity]", "Infinity is not"),
        (b"[-Infinity]", "-Infinity is not"),
        (b"[1e400]", "too large"),
        (b"[" + b"9" * 301 + b"]", "more than 300 digits"),
        (b'{"a": 1, "a": 1}', "'a' occurs twice"),
        (b'[{"b": {"a": 1, "a": 2}}]', "'a' occurs twice"),
        (b'["\\u0000"]', "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
        (b'["\\ud800"]', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b'["\x00"]', "control character"),
        (b'["\xff"]', "not UTF-8 (byte 2)"),
        (b'["\xed\xa0\x80"]', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"[" * 33 + b"]" * 33, "deeper than 32"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "deeper than 32"),
        (b"[" * 100_000, "deeper than 32"),
    ],
)
def test_refusals_say_what_and_where(body: bytes, words: str) -> None:
    with pytest.raises(JSONRefused) as caught:
        parse(body)
    assert words in str(caught.value)


def test_pairs_of_surrogates_and_32_levels_are_taken() -> None:
    assert parse(b'["\\ud83d\\ude00"]') == ["😀"]
    assert parse(b"[" * 32 + b"]" * 32) is not None


def test_texts_are_parsed_as_bytes_are() -> None:
    assert parse('{"a": "é"}') == {"a": "é"}
    with pytest.raises(JSONRefused, match="not UTF-8"):
        parse('["\ud800"]')


def test_brackets_inside_strings_do_not_count_as_nesting() -> None:
    text = "[{" * 100 + '\\"'
    assert parse(json.dumps([text]).encode()) == [text]


def test_long_broken_strings_cost_linear_time() -> None:
    """Escaped quotes without an end once made the depth check start again at each of them."""
    body = b"[" * 20 + b"[{}]," * 20 + b'"' + b'\\"' * 500_000
    with pytest.raises(JSONRefused):
        parse(body)


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1.0), ("-0.5", -0.5), ("1e2", 100.0), (" 2 ", 2)]
)
def test_numbers_are_read_as_json_writes_them(text: str, number: float) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "NaN", "Infinity", "-inf", "1e999", "1_0", "+1", ".5", "01", "0x1", "\u0661", "true",
     "[1]", '"1"', "null"],
)  # fmt: skip
def test_what_only_looks_like_a_number_is_refused(text: str) -> None:
    with pytest.raises(JSONRefused):
        parse_number(text)
