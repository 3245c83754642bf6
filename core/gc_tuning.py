"""Keeps the garbage collector away from what lives as long as the process."""

from __future__ import annotations

import gc

# What one batch of the engine, or a few requests, make and drop again is below the first.
THRESHOLDS = (10_000, 20, 20)


def collect_seldom() -> None:
    """Let some thousand objects be made before the next collection.

    Loading the hub makes hundreds of thousands, and drops hardly any: collections were an eighth of
    each start.
    """
    gc.set_threshold(*THRESHOLDS)


def freeze_loaded_objects() -> None:
    """Freeze everything loaded so far (`gc.freeze`), so that collections skip it.

    Modules, classes and settings live as long as the process does. To go over them again and again
    was a sixth of what a busy worker computed.
    """
    gc.collect()
    gc.freeze()
    collect_seldom()
