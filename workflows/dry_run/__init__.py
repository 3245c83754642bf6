"""A dry run: a definition run in memory, with mocks in place of calls and people.

It decides with the engine's own functions; only storing, claiming and calling are replaced. Nothing
is written and nobody is called.
"""

from workflows.dry_run.mocks import MOCKED_KINDS, Mocks, read_mocks
from workflows.dry_run.model import Limits, SimulatedStep, Simulation
from workflows.dry_run.runner import simulate

__all__ = [
    "MOCKED_KINDS",
    "Limits",
    "Mocks",
    "SimulatedStep",
    "Simulation",
    "read_mocks",
    "simulate",
]
