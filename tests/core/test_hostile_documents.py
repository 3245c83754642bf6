"""No document costs more than it weighs: the work for each of the hostile ones is bounded."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from core.json.schema import MOST_APPLICATIONS, MOST_EXPLAINED, compile_schema
from tests.support.hostile_documents import HOSTILE, WORK, Hostile, weigh

pytestmark = pytest.mark.once

# Calls of functions, of which a core makes so many in some seconds; most take a thousandth of them.
MOST_CALLS = 20_000_000
# Of one core, where compiled code counts too; on a machine that does other things besides.
MOST_SECONDS = 5
_MEASURE = """
import django, resource, sys, time
django.setup()
from tests.support.hostile_documents import HOSTILE, weigh
for each in HOSTILE:
    began = time.thread_time()
    weigh(each)
    print(f"{time.thread_time() - began:.3f}", each, sep="\\t", flush=True)
"""


# Of these each takes a second while its calls are counted.
_HEAVY = ("template", "cron", "definition", "dry run", "body")
_SHARED = [
    pytest.param(each, id=str(each), marks=[pytest.mark.slow] if each.kind in _HEAVY else [])
    for each in HOSTILE
]


class TooMuch(BaseException):
    """Work that goes on beyond its bound: nothing catches it on the way out."""


@contextmanager
def at_most(calls: int) -> Iterator[list[int]]:
    """Count calls of functions, and stop what makes more of them."""
    count = [0]

    def see(frame: Any, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            count[0] += 1
            if count[0] > calls:
                sys.setprofile(None)
                raise TooMuch

    sys.setprofile(see)
    try:
        yield count
    finally:
        sys.setprofile(None)


def test_there_are_many_and_each_kind_of_work_has_some():
    assert len(HOSTILE) >= 100
    assert len({str(hostile) for hostile in HOSTILE}) == len(HOSTILE)
    assert {hostile.kind for hostile in HOSTILE} == set(WORK)


@pytest.mark.parametrize("hostile", _SHARED)
def test_work_for_a_hostile_document_is_bounded(hostile: Hostile):
    with at_most(MOST_CALLS):
        assert weigh(hostile) in ("refused", "done")


@pytest.mark.parametrize("hostile", [h for h in HOSTILE if h.kind == "schema"], ids=str)
def test_applications_of_a_schema_are_counted_before_it_is_applied(hostile: Hostile):
    """What is compiled counts no calls: of schemas the bound is that of `CompiledSchema`."""
    try:
        compiled = compile_schema(json.dumps(hostile.document, sort_keys=True))
    except ValueError:
        return  # refused where it is saved
    cost = compiled.cost_of(hostile.subject)
    assert compiled.can_check(hostile.subject) == (cost <= MOST_APPLICATIONS)
    if cost <= MOST_APPLICATIONS:
        assert sum(1 for _ in compiled.errors_of(hostile.subject)) <= MOST_EXPLAINED


@pytest.mark.slow
def test_no_hostile_document_takes_seconds():
    measured = subprocess.run(
        [sys.executable, "-c", _MEASURE], capture_output=True, text=True, check=True, timeout=300
    )
    took = dict(reversed(line.split("\t", 1)) for line in measured.stdout.splitlines())
    assert len(took) == len(HOSTILE)
    assert {name: text for name, text in took.items() if float(text) > MOST_SECONDS} == {}
