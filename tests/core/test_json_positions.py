"""Each value of a JSON text is found at the place where it was typed."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.json.positions import position_of, positions_in

TEXT = """{
  "steps": [
    {"id": "a", "type": "NOPE",
     "input": {"x \\"y\\"": [1, {"deep": null}], "empty": {}, "none": []}}
  ],
  "timeout": -1.5e3
}"""
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner),
    max_leaves=20,
)


def test_a_member_stands_where_its_key_does() -> None:
    places = positions_in(TEXT)
    assert places["steps"] == (2, 3)
    assert places["steps[0]"] == (3, 5)
    assert places["steps[0].type"] == (3, 17)
    assert places['steps[0].input.x "y"[1].deep'] == (4, 32)
    assert places["timeout"] == (6, 3)


def test_what_is_missing_is_placed_where_it_belongs() -> None:
    places = positions_in(TEXT)
    assert position_of("steps[0].next", places) == places["steps[0]"]
    assert position_of("steps[7].branches[0].id", places) == places["steps"]
    assert position_of("output", places) == (1, 1)


@given(documents, st.sampled_from([None, 1, 4]))
def test_every_value_is_where_it_is_said_to_be(document: Any, indent: int | None) -> None:
    text = json.dumps(document, indent=indent)
    lines = text.split("\n")
    for path, (line, column) in positions_in(text).items():
        rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
        key = path.rpartition(".")[2] if not path.endswith("]") else ""
        if key:
            assert rest.startswith(json.dumps(key))
            rest = rest[len(json.dumps(key)) :].lstrip(": \n")
        json.JSONDecoder().raw_decode(rest)
