"""Documents of YAML: what is read of them is JSON, and what is not is refused by its line."""

from __future__ import annotations

from typing import Any

import pytest

from core.exceptions import ValidationFailed
from integration_site.manifests.documents import read_manifests, write_manifests

pytestmark = pytest.mark.once


def spec_of(text: str) -> Any:
    (manifest,) = read_manifests("a.yaml", f"kind: Slo\nname: a\nspec:\n  v: {text}\n")
    return manifest.spec["v"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("on", "on"), ("true", True), ("~", None), ("", None), ("'true'", "true"),
        ("2026-01-01", "2026-01-01"), ("2099-01-01T00:00:00Z", "2099-01-01T00:00:00Z"),
        ("1:30", "1:30"), ("0o17", "0o17"), ("017", "017"), ("0x1f", "0x1f"), ("1_000", "1_000"),
        ("12", 12), ("-1", -1), ("99.9", 99.9), ("1e3", 1000.0), (".inf", ".inf"), (".nan", ".nan"),
        ("<<", "<<"), ("[1, a]", [1, "a"]), ("{a: {b: []}}", {"a": {"b": []}}),
        ("99999999999999999999", "99999999999999999999"), ("|\n    a\n    b", "a\nb\n"),
    ],
)  # fmt: skip
def test_plain_text_is_what_json_would_have(text: str, value: Any) -> None:
    assert spec_of(text) == value
    assert type(spec_of(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("a: &x 1", "a.yaml, document 1", "Line 1: Anchors"),
        ("kind: Slo\nspec: {}\n---\na: *x", "a.yaml, document 2", "Line 4: Anchors"),
        ("a: 1\na: 2", "a.yaml, document 1", "Line 2: 'a' is there twice"),
        ("[a]: 1", "a.yaml, document 1", "A key must be a plain text"),
        ("a: !!int '1'", "a.yaml, document 1", "The tag tag:yaml.org,2002:int is not read"),
        ("a: 1e999", "a.yaml, document 1", "too large"),
        ('a: "\\0"', "a.yaml, document 1", "NUL"),
        ("a: [1", "a.yaml", "This is no YAML: line 2"),
        ("a: \x00", "a.yaml", "This is no YAML"),
        ("- 1", "a.yaml, document 1", "Must be an object"),
        ("kind: Slo\nspecs: {}", "a.yaml, document 1, specs", "no such member"),
        ("kind: Slo\nname: 7\nspec: {}", "a.yaml, document 1, name", "put quotes around it"),
    ],
)
def test_what_is_not_read_is_refused_by_its_line(text: str, path: str, words: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        read_manifests("a.yaml", text)
    ((found, (sentence,)),) = refused.value.errors.items()
    assert found == path
    assert words in sentence


def test_texts_that_look_like_something_else_are_written_as_texts() -> None:
    words = [
        "no",
        "true",
        "~",
        "12",
        "1e3",
        "2026-01-01",
        "a: b",
        "- a",
        "*x",
        "ü\n",
        "",
        "'",
        "a\n  b",
        " x\n",
    ]
    documents = [{"kind": "Slo", "name": "12", "spec": {"words": words, "n": [1, 2.5, None]}}] * 2
    read = read_manifests("a.yaml", write_manifests(documents))
    assert [{"kind": m.kind, "name": m.name, "spec": m.spec} for m in read] == documents
