"""The memory of a long-lived process."""

from __future__ import annotations

import gc

# What one batch of the engine, or a few requests, make and drop again is below the first.
THRESHOLDS = (10_000, 20, 20)


def settle_heap() -> None:
    """Take what a process has loaded out of the garbage collector's rounds.

    Modules, classes and settings live as long as the process does. To go over them again and again
    was a sixth of what a busy worker computed.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
