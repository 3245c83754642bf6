"""The property that the tests here share: engine and interpreter agree, whatever the troubles."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.hypothesis_settings import in_proportion
from tests.workflows.reference.agreement import differences
from tests.workflows.reference.cases import Case
from tests.workflows.reference.hand import Hand, Troubles
from tests.workflows.reference.strategies import cases
from tests.workflows.reference.world import ScriptedWorld, see

BATCHES = st.lists(cases(unhurried=True), min_size=1, max_size=2)
SEEDS = st.integers(0, 2**32)


def examples(count: int, **more: Any) -> settings:
    """So many examples in the usual profile, and in proportion in others."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    return settings(max_examples=in_proportion(count), suppress_health_check=checks, **more)


def check(batch: list[Case], seed: int, troubles: Troubles) -> None:
    """Run the cases together by hand; fail with every difference."""
    world = ScriptedWorld()
    ended = Hand(world, random.Random(seed), troubles).run(batch)
    for case, execution in zip(batch, ended, strict=True):
        again = bool(troubles.deaths or troubles.stale)
        found = differences(case, see(world, execution), repeated_calls=again)
        assert not found, "\n".join([*found, json.dumps(asdict(case), default=repr)])


def hold(troubles: Troubles, how: settings) -> None:
    """Check that random cases agree under these troubles."""

    @how
    @given(BATCHES, SEEDS)
    def agree(batch: list[Case], seed: int) -> None:
        check(batch, seed, troubles)

    agree()
