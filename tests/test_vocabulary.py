"""Names of files and classes say what they hold, in the terms of docs/glossary.md."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = (
    "core", "registry", "workflows", "monitoring", "model_orchestration", "integration_site",
    "reference_services",
    "client/src",
)  # fmt: skip
MOST_TERMS = 60

# Each with what to say instead. A part of a name counts, such as `Seats` of `WatchSeats`.
RETIRED = {
    "admission": "concurrency limit, queue, slot",
    "aim": "connection action",
    "beating": "heartbeat",
    "comparing": "comparison, diff",
    "dress": "authenticate, sign",
    "dressing": "authentication, signing",
    "heap": "garbage collection",
    "hints": "ready publisher",
    "knock": "delivery, message",
    "ledger": "outcome buffer",
    "many": "what there are many of: large executions, bulk",
    "needs": "input check, requirements",
    "owners": "worker identity",
    "people": "users, signals, human tasks",
    "place": "position, address, slot, path: what it is a place of",
    "places": "positions, slots, paths",
    "questions": "approval form",
    "resting": "idle",
    "retold": "reported again",
    "seats": "slots",
    "simulating": "dry run",
    "simulation": "dry run",
    "straight": "fast path",
    "suspects": "quarantine",
    "tally": "counter",
    "trying": "trial, dry run",
    "undoing": "compensation",
    "wires": "ready queue, completion events",
}

# Classes that share a name, each with the reason.
SHARED_NAMES = {
    "Command": "Django finds the class of a management command by this name",
    "Meta": "Django and its companions read what a class says of itself from this",
    "CircuitOpenError": "the client raises what the hub answers, under the name of the hub's error",
    "RateLimitedError": "the client raises what the hub answers, under the name of the hub's error",
    "ServiceUnavailableError": "the client raises what the hub answers, under the hub's name",
    "Request": "a request to a model has its row, and the client a request that it sends",
    "Service": "a reference service is a program apart, and declares what the hub has a row of",
}


def product_files() -> Iterator[Path]:
    for package in PRODUCT:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path.relative_to(ROOT)


def product_classes() -> Iterator[tuple[str, str]]:
    """Yield the name of every class of the product, and where it is."""
    for path in product_files():
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.ClassDef):
                yield node.name, f"{path}:{node.lineno}"


def words_of(name: str) -> list[str]:
    """Return the words of a name such as `wait_slots` or `WaitSlots`, in lower case."""
    return re.findall(r"[a-z]+|[0-9]+", re.sub(r"([A-Z])", r" \1", name).lower())


def retired_in(name: str, where: str) -> list[str]:
    return [
        f"{where}: '{name}' says '{word}'; say {RETIRED[word]}"
        for word in words_of(name)
        if word in RETIRED
    ]


def glossary() -> dict[str, str]:
    lines = (ROOT / "docs" / "glossary.md").read_text().splitlines()
    entries = [line for line in lines if line.startswith("- ")]
    terms = [re.fullmatch(r"- \*\*([^*]+)\*\*: (.+)", line) for line in entries]
    assert all(terms), "An entry of the glossary is written: - **term**: what it is."
    return {term[1]: term[2] for term in terms if term}


def test_names_of_files_use_no_retired_word():
    names = {part for path in product_files() for part in path.with_suffix("").parts}
    assert [found for name in sorted(names) for found in retired_in(name, "a file")] == []


def test_names_of_classes_use_no_retired_word():
    assert [found for name, where in product_classes() for found in retired_in(name, where)] == []


def test_no_two_classes_share_a_name():
    places = defaultdict(list)
    for name, where in product_classes():
        places[name].append(where)
    shared = {name: where for name, where in places.items() if len(where) > 1}
    assert shared.keys() <= SHARED_NAMES.keys(), {
        name: where for name, where in shared.items() if name not in SHARED_NAMES
    }
    assert SHARED_NAMES.keys() <= shared.keys(), "A name that is not shared needs no reason."


def test_glossary_is_short_and_in_order():
    terms = list(glossary())
    assert len(terms) <= MOST_TERMS
    assert terms == sorted(terms)


def test_each_term_has_one_sentence_and_is_not_retired():
    for term, sentence in glossary().items():
        assert sentence.endswith("."), term
        assert ". " not in sentence, term
        assert retired_in(term, "the glossary") == []


def test_retired_words_and_shared_names_are_found():
    assert words_of("WatchSeats") == ["watch", "seats"]
    assert retired_in("undoing_steps", "a file") == [
        "a file: 'undoing_steps' says 'undoing'; say compensation"
    ]
    assert retired_in("ExecutionReplacement", "a file") == []
