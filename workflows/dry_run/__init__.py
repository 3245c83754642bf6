"""A dry run: a definition run in memory, with mocks in place of calls and people.

It decides with the engine's own functions; only storing, claiming and calling are replaced. Nothing
is written and nobody is called.
"""

from workflows.dry_run.mocks import MOCKED_KINDS, Mocks, read_mocks
from workflows.dry_run.model import DryRunLimits, DryRunResult, DryRunStep
from workflows.dry_run.runner import execute_in_memory

__all__ = [
    "MOCKED_KINDS",
    "DryRunLimits",
    "DryRunResult",
    "DryRunStep",
    "Mocks",
    "execute_in_memory",
    "read_mocks",
]
