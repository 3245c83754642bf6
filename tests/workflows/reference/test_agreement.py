"""The engine does what the language says: random definitions, against the reference interpreter.

`pytest tests/workflows/reference --hypothesis-profile=thorough` runs fifty times as many.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workflows.reference.agreement import differences
from tests.workflows.reference.hand import Troubles, run_freely
from tests.workflows.reference.properties import examples, hold
from tests.workflows.reference.strategies import cases
from tests.workflows.reference.world import ObservedEngine, ScriptedWorld, see
from workflows.validation import validate

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.once
@examples(100)
@given(cases(unhurried=True))
def test_generated_definitions_are_valid(case):
    for document in (case.document, *case.children.values()):
        assert validate(document, directory=None).errors == {}


def test_engine_records_what_the_language_says(in_full):
    hold(Troubles(), examples(100 if in_full else 50))


def test_engine_with_its_own_threads_records_what_the_language_says():
    world = ScriptedWorld()
    engine = ObservedEngine(client_factory=lambda: world)

    @examples(15)
    @given(st.lists(cases(unhurried=False), min_size=1, max_size=3))
    def agree(batch):
        for case, execution in zip(batch, run_freely(world, engine, batch), strict=True):
            found = differences(case, see(world, execution))
            assert not found, "\n".join(found)

    engine.start()
    try:
        agree()
    finally:
        engine.stop(grace_seconds=5)


@pytest.mark.on_servers
@pytest.mark.parametrize(
    "troubles",
    [
        pytest.param(Troubles(shuffle=60), id="outcomes in any order"),
        pytest.param(Troubles(shuffle=60, repeat=40), id="outcomes recorded again"),
        pytest.param(Troubles(shuffle=30, pause=20), id="pauses"),
        pytest.param(Troubles(shuffle=40, deaths=2), id="workers that die"),
        pytest.param(Troubles(shuffle=40, stale=30, deaths=1), id="leases that run out"),
    ],
)
def test_it_makes_no_difference(troubles, in_full):
    hold(troubles, examples(20 if in_full else 10))
